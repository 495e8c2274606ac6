package node

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sekisho.dev/conformance/cluster/podinit/container"
)

// process is one running container. Its first process leads a process namespace, so that nothing survives it.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
	log     *logWriter
}

func (r *podRunner) start(ctx context.Context, wanted *corev1.Container) (*process, error) {
	spec, err := r.specification(ctx, wanted)
	if err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(spec)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(r.folder, wanted.Name+".json")
	if err := os.WriteFile(path, encoded, 0o600); err != nil {
		return nil, err
	}
	output, err := openLog(r.node.files.PodLogs(r.pod.Namespace, r.pod.Name, wanted.Name+".log"))
	if err != nil {
		return nil, err
	}
	command := exec.Command(r.node.podinit, path)
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Setsid: true}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start podinit: %w", err)
	}
	started := &process{command: command, ended: make(chan struct{}), log: output}
	go func() {
		_ = command.Wait() // The exit code is read from ProcessState.
		_ = output.Close()
		close(started.ended)
	}()
	return started, nil
}

func (r *podRunner) specification(ctx context.Context, wanted *corev1.Container) (*container.Spec, error) {
	image, err := r.node.images.find(wanted.Image)
	if err != nil {
		return nil, err
	}
	scratch := filepath.Join(r.folder, "scratch-"+wanted.Name)
	if err := os.MkdirAll(scratch, 0o755); err != nil {
		return nil, err
	}
	values, err := r.environment(ctx, image, wanted)
	if err != nil {
		return nil, err
	}
	mounts, err := r.mounts(ctx, wanted)
	if err != nil {
		return nil, err
	}
	words := image.Entrypoint
	if len(wanted.Command) > 0 {
		words = expandAll(wanted.Command, values)
	}
	spec := &container.Spec{
		Command:          append(slices.Clone(words), expandAll(wanted.Args, values)...),
		WorkingDirectory: "/",
		NetworkNamespace: r.attachment.Path(),
		Scratch:          scratch,
		HostName:         r.pod.Name,
		Sysctls:          r.sysctls(),
		Hosts:            fmt.Sprintf("127.0.0.1 localhost\n::1 localhost\n%s %s\n", r.attachment.Address, r.pod.Name),
		Resolver:         r.resolver(),
		Programs:         append([]string{image.Entrypoint[0]}, image.Programs...),
		Mounts:           mounts,
	}
	if wanted.WorkingDir != "" {
		spec.WorkingDirectory = wanted.WorkingDir
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		spec.Environment = append(spec.Environment, name+"="+values[name])
	}
	applySecurity(spec, r.pod.Spec.SecurityContext, wanted.SecurityContext)
	return spec, nil
}

func applySecurity(spec *container.Spec, pod *corev1.PodSecurityContext, own *corev1.SecurityContext) {
	if pod != nil {
		take(&spec.User, pod.RunAsUser)
		take(&spec.Group, pod.RunAsGroup)
		for _, group := range pod.SupplementalGroups {
			spec.Groups = append(spec.Groups, int(group))
		}
		if pod.FSGroup != nil {
			spec.Groups = append(spec.Groups, int(*pod.FSGroup))
		}
	}
	if own != nil {
		take(&spec.User, own.RunAsUser)
		take(&spec.Group, own.RunAsGroup)
		spec.ReadOnlyRoot = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
		spec.NoNewPrivileges = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	}
}

func take(target *int, value *int64) {
	if value != nil {
		*target = int(*value)
	}
}

// wait returns the exit code. When the pod ends first, the process is asked to end, and ended after the grace period, or
// soon after everything ends.
func (p *process) wait(ctx context.Context, grace time.Duration, ending <-chan struct{}) int {
	select {
	case <-p.ended:
	case <-ctx.Done():
		p.signal(syscall.SIGTERM)
		limit := time.After(grace)
		select {
		case <-p.ended:
		case <-limit:
		case <-ending:
			select {
			case <-p.ended:
			case <-limit:
			case <-time.After(shortGrace):
			}
		}
		p.signal(syscall.SIGKILL)
		<-p.ended
	}
	return p.command.ProcessState.ExitCode()
}

func (p *process) signal(signal syscall.Signal) {
	// The process may have ended in between, and its end is seen by whoever waits for it.
	_ = p.command.Process.Signal(signal)
}
