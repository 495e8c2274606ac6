package supervisor

import (
	"fmt"
	"os"
	"syscall"

	"sekisho.dev/conformance/cluster/layout"
)

const resolverPath = "/etc/resolv.conf"

// prepareNames writes the name server's configuration, and makes it the only one that anything inside asks. Names
// outside the cluster do not exist: there is no way out by which they could be asked for.
func prepareNames(files layout.Files) error {
	configuration := fmt.Sprintf(`%[1]s:53 in-addr.arpa:53 {
    bind %[2]s
    errors
    kubernetes %[1]s in-addr.arpa {
        kubeconfig %[3]s
        ttl 5
    }
}
.:53 {
    bind %[2]s
    errors
    template ANY ANY {
        rcode NXDOMAIN
    }
}
`, layout.DNSDomain, layout.DNSAddress, files.Kubeconfig())
	if err := os.WriteFile(files.NameServer(), []byte(configuration), 0o644); err != nil {
		return fmt.Errorf("write the name server's configuration: %w", err)
	}
	if err := os.WriteFile(files.Resolver(), []byte("nameserver "+layout.DNSAddress+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the resolver's configuration: %w", err)
	}
	if _, err := os.Stat(resolverPath); os.IsNotExist(err) {
		return nil // Nothing outside is asked either.
	}
	if err := syscall.Mount(files.Resolver(), resolverPath, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("replace %s inside: %w", resolverPath, err)
	}
	return nil
}
