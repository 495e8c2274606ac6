// Package container is the contract between the node stand-in and podinit.
package container

// Spec is everything that podinit needs, decided beforehand by the node stand-in.
type Spec struct {
	Command          []string
	Environment      []string
	WorkingDirectory string
	// NetworkNamespace is empty for a pod in the node's own.
	NetworkNamespace string
	// Sysctls are settings of the network namespace, by their dotted names.
	Sysctls map[string]string
	// Scratch is an empty folder that becomes the place of the root filesystem.
	Scratch  string
	HostName string
	Hosts    string
	// Resolver is the content of /etc/resolv.conf.
	Resolver string
	// Programs are files or folders of the machine that must be visible at their own path.
	Programs        []string
	Mounts          []Mount
	User            int
	Group           int
	Groups          []int
	ReadOnlyRoot    bool
	NoNewPrivileges bool
}

// Mount binds Source, on the machine, to Target, in the container.
type Mount struct {
	Source   string
	Target   string
	ReadOnly bool
}
