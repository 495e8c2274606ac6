// Package network builds the only network that a run has: one bridge in a network namespace of its own, and a
// namespace and a veth pair for each pod. There is no default route and no forwarding out of the namespace, so
// nothing that runs here can reach beyond the machine. Everything ends with the namespace.
package network

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"

	"sekisho.dev/conformance/cluster/layout"
)

const (
	namespaceFolder = "/run/netns"
	// The bridge's own hardware address. Without one it has that of one of its ports, so that a pod that comes or goes
	// may change it under those that remember it, which cuts them off for many seconds.
	bridgeHardware = "0a:58:0a:f4:00:01"
)

func ip(arguments ...string) error {
	output, err := exec.Command("ip", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// Prepare expects to run in fresh network, mount and process namespaces, and makes the bridge there.
func Prepare() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := os.MkdirAll(namespaceFolder, 0o755); err != nil {
		return fmt.Errorf("make %s: %w", namespaceFolder, err)
	}
	// A private place for the names of pod namespaces: they vanish with this mount namespace.
	if err := syscall.Mount("tmpfs", namespaceFolder, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", namespaceFolder, err)
	}
	for _, step := range [][]string{
		{"link", "set", "lo", "up"},
		{"link", "add", layout.BridgeName, "address", bridgeHardware, "type", "bridge"},
		{"address", "add", layout.BridgeAddress + "/16", "dev", layout.BridgeName},
		{"link", "set", layout.BridgeName, "up"},
		{"route", "add", "local", layout.ServiceRange, "dev", "lo"},
		{"route", "add", "local", layout.GatewayRange, "dev", "lo"},
	} {
		if err := ip(step...); err != nil {
			return err
		}
	}
	return nil
}

// Pods hands out addresses and namespaces.
type Pods struct {
	lock sync.Mutex
	last int
	free []int
}

// Attachment is the place of one pod in the network.
type Attachment struct {
	Address   string
	Namespace string
	number    int
}

// Path names the namespace as a file.
func (a *Attachment) Path() string { return namespaceFolder + "/" + a.Namespace }

func (p *Pods) take() int {
	p.lock.Lock()
	defer p.lock.Unlock()
	// Addresses are used again only when many have been handed out: clients may remember a dead pod's address.
	if len(p.free) > 1000 {
		number := p.free[0]
		p.free = p.free[1:]
		return number
	}
	p.last++
	return p.last
}

// Attach makes a namespace with an address on the bridge.
func (p *Pods) Attach() (*Attachment, error) {
	number := p.take()
	host := number + 1
	attachment := &Attachment{
		Address:   fmt.Sprintf("10.244.%d.%d", host/250, host%250+1),
		Namespace: fmt.Sprintf("pod%d", number),
		number:    number,
	}
	namespace, outer := attachment.Namespace, fmt.Sprintf("veth%d", number)
	for _, step := range [][]string{
		{"netns", "add", namespace},
		{"link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace},
		{"link", "set", outer, "master", layout.BridgeName, "up"},
		{"-netns", namespace, "address", "add", attachment.Address + "/16", "dev", "eth0"},
		{"-netns", namespace, "link", "set", "lo", "up"},
		{"-netns", namespace, "link", "set", "eth0", "up"},
		{"-netns", namespace, "route", "add", "default", "via", layout.BridgeAddress},
	} {
		if err := ip(step...); err != nil {
			return nil, err
		}
	}
	return attachment, nil
}

// Detach removes the namespace and with it the veth pair.
func (p *Pods) Detach(attachment *Attachment) error {
	if err := ip("netns", "delete", attachment.Namespace); err != nil {
		return err
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.free = append(p.free, attachment.number)
	return nil
}
