// Package supervisor starts the parts of the cluster in order inside namespaces of their own, runs one command
// against it, and ends everything. It is the first process of a process namespace: whatever it leaves behind ends
// with it, and no process outside can be touched.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"sekisho.dev/conformance/cluster/credentials"
	"sekisho.dev/conformance/cluster/layout"
	"sekisho.dev/conformance/cluster/manifests"
	"sekisho.dev/conformance/cluster/network"
)

const (
	readyLimit  = 120 * time.Second
	readyPeriod = 100 * time.Millisecond
)

// Options is what `cluster up` is told.
type Options struct {
	Files   layout.Files
	Images  string
	Podinit string
	// DNS is the CoreDNS program; without it the cluster's names are not resolved.
	DNS       string
	Manifests []string
	Command   []string
}

// Enter runs this program again, with the given arguments, in fresh namespaces, and returns its exit code.
func Enter(arguments []string) (int, error) {
	if os.Geteuid() != 0 {
		return 1, errors.New("the one-machine cluster needs root: it makes network, mount and process namespaces of its own")
	}
	itself, err := os.Executable()
	if err != nil {
		return 1, err
	}
	inner := exec.Command(itself, arguments...)
	inner.Stdin, inner.Stdout, inner.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The inside is told when this process is killed; the kernel ties that to the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	inner.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig:  syscall.SIGTERM,
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	if err := inner.Start(); err != nil {
		return 1, fmt.Errorf("make the namespaces: %w", err)
	}
	go func() {
		for received := range signals {
			_ = inner.Process.Signal(received) // It may have ended already.
		}
	}()
	err = inner.Wait()
	var failure *exec.ExitError
	if err != nil && !errors.As(err, &failure) {
		return 1, err
	}
	return inner.ProcessState.ExitCode(), nil
}

type cluster struct {
	options Options
	begun   time.Time
	failed  chan string

	lock    sync.Mutex
	members []*member
}

// Run is the inside of Enter. It returns the command's exit code.
func Run(ctx context.Context, options Options) (int, error) {
	cluster := &cluster{options: options, begun: time.Now(), failed: make(chan string, 8)}
	defer cluster.stop()
	if err := cluster.start(ctx); err != nil {
		return 1, err
	}
	return cluster.execute(ctx)
}

func (c *cluster) say(format string, values ...any) {
	fmt.Printf("[%6.1f s] %s\n", time.Since(c.begun).Seconds(), fmt.Sprintf(format, values...))
}

func (c *cluster) start(ctx context.Context) error {
	if err := network.Prepare(); err != nil {
		return err
	}
	files := c.options.Files
	for _, folder := range []string{files.EtcdData(), files.Pods(), filepath.Dir(files.Log("any"))} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	if err := credentials.Write(files); err != nil {
		return err
	}
	if err := prepareNames(files); err != nil {
		return err
	}
	c.say("network and credentials are made")
	for _, part := range []string{"etcd", "apiserver"} {
		if err := c.launch(part); err != nil {
			return err
		}
	}
	if err := c.waitReady(ctx, c.failed); err != nil {
		return err
	}
	c.say("the API server is ready")
	for _, folder := range c.options.Manifests {
		count, err := manifests.Apply(ctx, files.Kubeconfig(), folder)
		if err != nil {
			return err
		}
		c.say("%d objects of %s are applied and served", count, filepath.Base(folder))
	}
	parts := []string{"controllers", "node"}
	if c.options.DNS != "" {
		parts = append(parts, "dns")
	}
	for _, part := range parts {
		if err := c.launch(part); err != nil {
			return err
		}
	}
	c.say("started: %s", strings.Join(parts, ", "))
	return c.listen(ctx)
}

func (c *cluster) execute(ctx context.Context) (int, error) {
	command := exec.Command(c.options.Command[0], c.options.Command[1:]...)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	command.Env = append(os.Environ(),
		"KUBECONFIG="+c.options.Files.Kubeconfig(), "CLUSTER_STATE="+string(c.options.Files))
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.say("running %s", filepath.Base(c.options.Command[0]))
	if err := command.Start(); err != nil {
		return 1, fmt.Errorf("run the command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	problem := ""
	for {
		select {
		case err := <-ended:
			var failure *exec.ExitError
			if err != nil && !errors.As(err, &failure) {
				return 1, err
			}
			c.say("the command ended with code %d", command.ProcessState.ExitCode())
			if problem != "" {
				return 1, errors.New(problem)
			}
			return command.ProcessState.ExitCode(), nil
		case problem = <-c.failed:
			c.say("%s", problem)
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM) // It may have ended already.
		case <-ctx.Done():
			_ = syscall.Kill(-command.Process.Pid, syscall.SIGTERM)
			return 1, errors.New("interrupted")
		}
	}
}
