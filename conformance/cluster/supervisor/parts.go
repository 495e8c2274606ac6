package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"sekisho.dev/conformance/cluster/layout"
)

// order is the one in which the parts depend on each other.
var order = []string{"etcd", "apiserver", "controllers", "node", "dns"}

// endLimits is how long each part may take to end when it is asked. The node ends its pods, each with its own grace. The
// API server would wait a minute for its clients' connections; etcd holds its state, and what it has answered is true.
var endLimits = map[string]time.Duration{
	"etcd": 15 * time.Second, "apiserver": 2 * time.Second, "controllers": 10 * time.Second,
	"node": 45 * time.Second, "dns": 10 * time.Second,
}

// member is one part of the cluster while its process lives.
type member struct {
	name    string
	command *exec.Cmd
	ended   chan struct{}
	// wished tells that its end was asked for, and is no failure.
	wished atomic.Bool
}

// launch starts a part as a process of its own, so that a test can stop and start it alone.
func (c *cluster) launch(part string) error {
	path := c.options.Files.Log(part)
	output, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	command := exec.Command("/proc/self/exe", part,
		"--state", string(c.options.Files), "--images", c.options.Images, "--podinit", c.options.Podinit)
	if part == "dns" {
		command = exec.Command(c.options.DNS, "-conf", c.options.Files.NameServer())
	}
	command.Stdout, command.Stderr = output, output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", part, err)
	}
	started := &member{name: part, command: command, ended: make(chan struct{})}
	c.lock.Lock()
	c.members = append(c.members, started)
	c.lock.Unlock()
	go func() {
		_ = command.Wait() // Told by ProcessState below.
		_ = output.Close()
		close(started.ended)
		if !started.wished.Load() {
			c.failed <- fmt.Sprintf("%s ended (%s), see %s", part, command.ProcessState, path)
		}
	}()
	return nil
}

func (c *cluster) find(part string) *member {
	c.lock.Lock()
	defer c.lock.Unlock()
	for _, member := range c.members {
		if member.name == part {
			return member
		}
	}
	return nil
}

func (c *cluster) end(part *member, first syscall.Signal) {
	part.wished.Store(true)
	_ = part.command.Process.Signal(first) // It may have ended already.
	select {
	case <-part.ended:
	case <-time.After(endLimits[part.name]):
		c.say("%s does not end and is killed", part.name)
		_ = part.command.Process.Kill()
		<-part.ended
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	c.members = slices.DeleteFunc(c.members, func(other *member) bool { return other == part })
}

// stop ends the parts in the reverse order: the node first, so that its pods end while the API server is there.
func (c *cluster) stop() {
	for _, name := range slices.Backward(order) {
		if part := c.find(name); part != nil {
			c.end(part, syscall.SIGTERM)
		}
	}
	c.say("everything has ended")
}

// waitReady waits for the API server. `failed` tells of parts that ended meanwhile.
func (c *cluster) waitReady(ctx context.Context, failed <-chan string) error {
	authority, err := os.ReadFile(c.options.Files.Certificate("ca"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	defer client.CloseIdleConnections()
	limit := time.After(readyLimit)
	for {
		answer, err := client.Get(layout.APIServerURL + "/readyz")
		if err == nil {
			_ = answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case problem := <-failed:
			return errors.New(problem)
		case <-limit:
			return fmt.Errorf("the API server is not ready after %s, see %s", readyLimit, c.options.Files.Log("apiserver"))
		case <-time.After(readyPeriod):
		}
	}
}
