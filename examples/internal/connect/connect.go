// Package connect gives every example the same flags and environment for a
// node: PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN or PROXMOX_VE_USERNAME and
// PROXMOX_VE_PASSWORD, -node, -ca and -fingerprint.
package connect

import (
	"context"
	"crypto/x509"
	"flag"
	"fmt"
	"os"

	"github.com/proxstation/proxstation/workstation"
)

// Flags say which node, and how its certificate is verified.
type Flags struct {
	Node, CA, Fingerprint string
}

// Register adds the flags to a set.
func Register(set *flag.FlagSet) *Flags {
	f := &Flags{}
	set.StringVar(&f.Node, "node", "", "name of the PVE node; needed if the cluster has several")
	set.StringVar(&f.CA, "ca", "", "file with the CA of the node's certificate (on the node: /etc/pve/pve-root-ca.pem)")
	set.StringVar(&f.Fingerprint, "fingerprint", "", "SHA-256 fingerprint of the node's certificate, as the web interface shows it")
	return f
}

// Parse parses the arguments of a program that has flags only.
func Parse(set *flag.FlagSet, args []string) error {
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%q is no flag: see -h", set.Arg(0))
	}
	return nil
}

// Configured reports whether the environment names a node.
func Configured() bool { return os.Getenv("PROXMOX_VE_ENDPOINT") != "" }

// Open connects to the node that the environment names.
func (f *Flags) Open(ctx context.Context) (*workstation.Node, error) {
	endpoint := workstation.Endpoint{
		URL: os.Getenv("PROXMOX_VE_ENDPOINT"), Token: os.Getenv("PROXMOX_VE_API_TOKEN"),
		Username: os.Getenv("PROXMOX_VE_USERNAME"), Password: os.Getenv("PROXMOX_VE_PASSWORD"), Fingerprint: f.Fingerprint,
	}
	if f.CA != "" {
		pem, err := os.ReadFile(f.CA)
		if err != nil {
			return nil, err
		}
		endpoint.RootCAs = x509.NewCertPool()
		if !endpoint.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no certificate in PEM form", f.CA)
		}
	}
	return workstation.Connect(ctx, endpoint, f.Node, nil)
}
