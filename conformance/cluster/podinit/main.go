// Command podinit turns itself into one container of a pod: it is started in new mount and process namespaces,
// builds the root filesystem (the machine's own, read through an overlay so that nothing is written to it),
// enters the pod's network namespace, takes on the container's user, and executes its command.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sekisho.dev/conformance/cluster/podinit/container"
)

func main() {
	// The network namespace belongs to a thread, and execve keeps the thread that calls it.
	runtime.LockOSThread()
	if err := become(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "podinit:", err)
		os.Exit(125)
	}
}

func become(path string) error {
	encoded, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read the container's description: %w", err)
	}
	var spec container.Spec
	if err := json.Unmarshal(encoded, &spec); err != nil {
		return fmt.Errorf("decode %s: %w", path, err)
	}
	if err := enterNetwork(&spec); err != nil {
		return err
	}
	root, err := buildRoot(&spec)
	if err != nil {
		return err
	}
	sources, err := openSources(&spec)
	if err != nil {
		return err
	}
	if err := unix.Chroot(root); err != nil {
		return fmt.Errorf("enter the root filesystem: %w", err)
	}
	if err := fillRoot(&spec, sources); err != nil {
		return err
	}
	if err := os.Chdir(spec.WorkingDirectory); err != nil {
		return fmt.Errorf("enter the working folder: %w", err)
	}
	if err := takeUser(&spec); err != nil {
		return err
	}
	if err := syscall.Exec(spec.Command[0], spec.Command, spec.Environment); err != nil {
		return fmt.Errorf("execute %s: %w", spec.Command[0], err)
	}
	return nil
}

func enterNetwork(spec *container.Spec) error {
	if spec.NetworkNamespace == "" {
		return nil
	}
	namespace, err := os.Open(spec.NetworkNamespace)
	if err != nil {
		return fmt.Errorf("open the pod's network namespace: %w", err)
	}
	defer namespace.Close()
	if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the pod's network namespace: %w", err)
	}
	for name, value := range spec.Sysctls {
		path := filepath.Join("/proc/sys", strings.ReplaceAll(name, ".", "/"))
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
			return fmt.Errorf("set sysctl %s: %w", name, err)
		}
	}
	return nil
}

func buildRoot(spec *container.Spec) (string, error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("make the mounts private: %w", err)
	}
	scratch := spec.Scratch
	if err := unix.Mount("tmpfs", scratch, "tmpfs", 0, "mode=0755"); err != nil {
		return "", fmt.Errorf("mount the scratch folder: %w", err)
	}
	upper, work, root := filepath.Join(scratch, "upper"), filepath.Join(scratch, "work"), filepath.Join(scratch, "root")
	for _, folder := range []string{upper, work, root} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			return "", fmt.Errorf("make %s: %w", folder, err)
		}
	}
	layers := fmt.Sprintf("lowerdir=/,upperdir=%s,workdir=%s", upper, work)
	if err := unix.Mount("overlay", root, "overlay", 0, layers); err != nil {
		return "", fmt.Errorf("mount the overlay: %w", err)
	}
	if err := unix.Mount("proc", filepath.Join(root, "proc"), "proc", 0, ""); err != nil {
		return "", fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("/dev", filepath.Join(root, "dev"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("bind /dev: %w", err)
	}
	if err := unix.Mount("tmpfs", filepath.Join(root, "tmp"), "tmpfs", 0, "mode=1777"); err != nil {
		return "", fmt.Errorf("mount /tmp: %w", err)
	}
	return root, nil
}

// source is one file or folder of the machine, held open while its path is out of reach.
type source struct {
	file   *os.File
	folder bool
	mount  container.Mount
}

func openSources(spec *container.Spec) ([]source, error) {
	mounts := slices.Clone(spec.Mounts)
	// Programs outside the machine's usual folders stay reachable at their path. They come last: a volume at /tmp would
	// hide those of a temporary folder.
	for _, path := range spec.Programs {
		mounts = append(mounts, container.Mount{Source: path, Target: path, ReadOnly: true})
	}
	var sources []source
	for _, mount := range mounts {
		file, err := os.OpenFile(mount.Source, unix.O_PATH, 0)
		if err != nil {
			return nil, fmt.Errorf("open the source of a mount: %w", err)
		}
		information, err := file.Stat()
		if err != nil {
			return nil, fmt.Errorf("find the source of a mount: %w", err)
		}
		sources = append(sources, source{file, information.IsDir(), mount})
	}
	return sources, nil
}

// fillRoot runs inside the new root: a link such as /var/run would otherwise lead out of it, onto the machine.
func fillRoot(spec *container.Spec, sources []source) error {
	for path, content := range map[string]string{
		"/etc/hosts": spec.Hosts, "/etc/hostname": spec.HostName + "\n", "/etc/resolv.conf": spec.Resolver,
	} {
		// The machine's own file may be a link to somewhere else.
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("replace %s: %w", path, err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	for _, source := range sources {
		if err := bind(source); err != nil {
			return err
		}
	}
	for _, program := range spec.Programs {
		if err := openWay(program); err != nil {
			return err
		}
	}
	if spec.ReadOnlyRoot {
		return closeRoot(spec)
	}
	return nil
}

// openWay lets the container's user through to a program that lies in a folder of root's own. Only the overlay is
// changed, not the machine.
func openWay(program string) error {
	for folder := filepath.Dir(program); folder != "/"; folder = filepath.Dir(folder) {
		information, err := os.Stat(folder)
		if err != nil {
			return fmt.Errorf("find the way to %s: %w", program, err)
		}
		if mode := information.Mode().Perm(); mode&0o011 != 0o011 {
			if err := os.Chmod(folder, mode|0o011); err != nil && !errors.Is(err, unix.EROFS) {
				return fmt.Errorf("open the way to %s: %w", program, err)
			}
		}
	}
	return nil
}

func closeRoot(spec *container.Spec) error {
	roots := []string{"/"}
	if !slices.ContainsFunc(spec.Mounts, func(mount container.Mount) bool { return filepath.Clean(mount.Target) == "/tmp" }) {
		roots = append(roots, "/tmp")
	}
	for _, root := range roots {
		if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("make %s read-only: %w", root, err)
		}
	}
	return nil
}

func bind(source source) error {
	defer source.file.Close()
	target := source.mount.Target
	err := os.MkdirAll(filepath.Dir(target), 0o755)
	if err == nil && source.folder {
		err = os.MkdirAll(target, 0o755)
	} else if err == nil {
		var file *os.File
		if file, err = os.OpenFile(target, os.O_CREATE|os.O_RDONLY, 0o644); err == nil {
			err = file.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("make the mount point %s: %w", target, err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/self/fd/%d", source.file.Fd()), target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", source.mount.Source, target, err)
	}
	if !source.mount.ReadOnly {
		return nil
	}
	if err := unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("make %s read-only: %w", target, err)
	}
	return nil
}

func takeUser(spec *container.Spec) error {
	if spec.NoNewPrivileges {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("forbid new privileges: %w", err)
		}
	}
	if spec.User == 0 && spec.Group == 0 {
		return nil
	}
	if err := syscall.Setgroups(spec.Groups); err != nil {
		return fmt.Errorf("set the supplementary groups: %w", err)
	}
	if err := syscall.Setgid(spec.Group); err != nil {
		return fmt.Errorf("take group %d: %w", spec.Group, err)
	}
	if err := syscall.Setuid(spec.User); err != nil {
		return fmt.Errorf("take user %d: %w", spec.User, err)
	}
	return nil
}
