// Package connect gives all examples the same flags and environment for a node:
// PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN or PROXMOX_VE_USERNAME and
// PROXMOX_VE_PASSWORD, -node, -ca and -fingerprint.
package connect

import (
	"context"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/cluster"
)

// Variables is the text about the variables that name the node, for the help of
// a program that runs on an embedded node if no node is named.
const Variables = `Environment:
  PROXMOX_VE_ENDPOINT    address of the node, such as https://pve.lan:8006; without it the
                         program runs on a node embedded in it, and nothing outside is touched.
` + variables

// VariablesOfMachine is the same text for a program that reads the machine on
// which it runs if no node is named.
const VariablesOfMachine = `Environment:
  PROXMOX_VE_ENDPOINT    address of the node, such as https://pve.lan:8006; without it the
                         program reads the machine on which it runs.
` + variables

const variables = `                         In a cluster: several addresses with commas between, of which one has to answer
  PROXMOX_VE_API_TOKEN   API token, USER@REALM!ID=SECRET
  PROXMOX_VE_USERNAME    or a user with the realm, such as root@pam,
  PROXMOX_VE_PASSWORD    and the password; some settings can be changed only by root@pam, and only this way
  NO_COLOR               any value: no colours
`

// Flags holds the flags that choose a node and say how its certificate is
// verified.
type Flags struct {
	Node, CA, Fingerprint string
	// Tiers holds the tiers of some storages, by name. The caller sets it for
	// storages whose disks do not show the tier.
	Tiers map[string]storage.Tier

	set *flag.FlagSet
}

// Register adds the flags to a set.
func Register(set *flag.FlagSet) *Flags {
	f := &Flags{set: set}
	set.StringVar(&f.Node, "node", "", "name of the PVE node; needed if the cluster has several")
	set.StringVar(&f.CA, "ca", "", "file with the CA of the node's certificate (on the node: /etc/pve/pve-root-ca.pem)")
	set.StringVar(&f.Fingerprint, "fingerprint", "", "SHA-256 fingerprint of the node's certificate, as the web interface shows it")
	return f
}

// Describe sets the text for a program's flag -h. The text says what the
// program does, which variables it reads, and gives an example. [Variables]
// describes the variables that name the node.
func Describe(set *flag.FlagSet, about, variables, example string) {
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "%s\n\nFlags:\n", strings.TrimSpace(about))
		set.PrintDefaults()
		if variables != "" {
			fmt.Fprintf(set.Output(), "\n%s", variables)
		}
		fmt.Fprintf(set.Output(), "\nExample:\n  %s\n", strings.ReplaceAll(strings.TrimSpace(example), "\n", "\n  "))
	}
}

// Parse parses the arguments of a program that accepts only flags.
func Parse(set *flag.FlagSet, args []string) error {
	if err := set.Parse(args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return fmt.Errorf("%q is not a flag: see -h", set.Arg(0))
	}
	return nil
}

// Configured reports whether the environment names a node.
func Configured() bool { return os.Getenv("PROXMOX_VE_ENDPOINT") != "" }

// NoEffect returns an error if a flag was given that has no effect on an
// embedded node: a flag of Register, or one of the given names.
func (f *Flags) NoEffect(names ...string) error {
	given := f.given(append(names, "node", "ca", "fingerprint"))
	if len(given) == 0 {
		return nil
	}
	return fmt.Errorf("%s would have no effect, because PROXMOX_VE_ENDPOINT is not set: the program would run on a node embedded in it. Set PROXMOX_VE_ENDPOINT=https://NODE:8006, or leave the flags out", strings.Join(given, ", "))
}

// UselessHere returns an error like [Flags.Useless] if one of the flags of
// Register was given. It is for calls that work without a node.
func (f *Flags) UselessHere(beside string) error {
	return f.Useless(beside, "node", "ca", "fingerprint")
}

// Useless returns an error if one of the named flags was given. These flags
// have no effect in this run of the program. The parameter "beside" says why,
// such as "a saved plan".
func (f *Flags) Useless(beside string, names ...string) error {
	if given := f.given(names); len(given) > 0 {
		return fmt.Errorf("%s would have no effect on %s: leave the flags out", strings.Join(given, ", "), beside)
	}
	return nil
}

// given returns those of the named flags that were given on the command line.
func (f *Flags) given(names []string) (given []string) {
	f.set.Visit(func(flag *flag.Flag) {
		for _, name := range names {
			if flag.Name == name {
				given = append(given, "-"+name)
			}
		}
	})
	return given
}

// Open connects to the node that the environment names. If the environment has
// several addresses of a cluster, Open uses the first address that answers.
func (f *Flags) Open(ctx context.Context) (*workstation.Node, error) {
	endpoints, err := f.endpoints()
	if err != nil {
		return nil, err
	}
	if len(endpoints) == 1 {
		node, err := workstation.Connect(ctx, endpoints[0], f.Node, f.options())
		return node, who(endpoints[0], err)
	}
	c, err := f.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	online, away, err := c.Names(ctx)
	switch {
	case err != nil:
		return nil, err
	case f.Node == "" && len(online) == 1 && len(away) == 0:
		return c.Node(online[0]), nil
	case f.Node == "":
		return nil, fmt.Errorf("%w: the cluster has the nodes %s: -node chooses one of them", workstation.ErrNoNode, strings.Join(slices.Sorted(slices.Values(slices.Concat(online, away))), ", "))
	case slices.Contains(away, f.Node):
		return nil, fmt.Errorf("node %s is away: the nodes that are online are %s", f.Node, strings.Join(online, ", "))
	case !slices.Contains(online, f.Node):
		return nil, fmt.Errorf("%w: %q is not among the nodes that are online: %s", workstation.ErrNoNode, f.Node, strings.Join(online, ", "))
	}
	return c.Node(f.Node), nil
}

// Cluster connects to the cluster whose addresses the environment names.
func (f *Flags) Cluster(ctx context.Context) (*cluster.Cluster, error) {
	endpoints, err := f.endpoints()
	if err != nil {
		return nil, err
	}
	c, err := cluster.Connect(ctx, endpoints, &cluster.Options{Node: f.options()})
	return c, who(endpoints[0], err)
}

func (f *Flags) options() *workstation.NodeOptions {
	return &workstation.NodeOptions{Tiers: f.Tiers}
}

// endpoints returns the addresses in the environment, each with the login.
func (f *Flags) endpoints() ([]workstation.Endpoint, error) {
	endpoint := workstation.Endpoint{
		Token: os.Getenv("PROXMOX_VE_API_TOKEN"), Username: os.Getenv("PROXMOX_VE_USERNAME"), Password: os.Getenv("PROXMOX_VE_PASSWORD"), Fingerprint: f.Fingerprint,
	}
	if err := checkLogin(endpoint); err != nil {
		return nil, err
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
	var all []workstation.Endpoint
	for url := range strings.SplitSeq(os.Getenv("PROXMOX_VE_ENDPOINT"), ",") {
		if endpoint.URL = strings.TrimSpace(url); endpoint.URL != "" {
			all = append(all, endpoint)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("PROXMOX_VE_ENDPOINT has no address: want https://HOST:8006")
	}
	if len(all) > 1 && f.Fingerprint != "" {
		return nil, errors.New("-fingerprint is for one address, and PROXMOX_VE_ENDPOINT has several: give the CA that signs the certificates of all nodes with -ca (on a node: /etc/pve/pve-root-ca.pem)")
	}
	return all, nil
}

// The function "who" extends the error of a refused login by the login that was
// tried.
func who(e workstation.Endpoint, err error) error {
	if errors.Is(err, workstation.ErrLogin) {
		return fmt.Errorf("%w; tried %s", err, login(e))
	}
	return err
}

// checkLogin returns an error if the login is incomplete. It does not ask the
// node.
func checkLogin(e workstation.Endpoint) error {
	user, _, _ := strings.Cut(e.Token, "!")
	switch {
	case e.Token != "" && e.Username != "":
		return errors.New("PROXMOX_VE_API_TOKEN and PROXMOX_VE_USERNAME are both set: set either the token, or the user and PROXMOX_VE_PASSWORD. To log in with the password: unset PROXMOX_VE_API_TOKEN")
	case e.Token == "" && e.Username == "" && e.Password == "":
		return errors.New("PROXMOX_VE_ENDPOINT is set, but no login: set PROXMOX_VE_API_TOKEN=USER@REALM!ID=SECRET, or PROXMOX_VE_USERNAME=root@pam and PROXMOX_VE_PASSWORD")
	case e.Token != "" && (!strings.Contains(user, "@") || !strings.Contains(e.Token, "!") || !strings.Contains(e.Token, "=")):
		return errors.New("PROXMOX_VE_API_TOKEN does not look like a token: want USER@REALM!ID=SECRET, as pveum user token add prints it (full-tokenid and value)")
	case e.Token == "" && e.Username == "":
		return errors.New("PROXMOX_VE_PASSWORD is set, but PROXMOX_VE_USERNAME is not: set it to the user with this password, such as root@pam")
	case e.Token == "" && e.Password == "":
		return fmt.Errorf("PROXMOX_VE_USERNAME is %s, but PROXMOX_VE_PASSWORD is not set", e.Username)
	case e.Token == "" && !strings.Contains(e.Username, "@"):
		return fmt.Errorf("PROXMOX_VE_USERNAME is %q, without a realm: want %[1]s@pam for a user of the host, or %[1]s@pve for a user of Proxmox VE", e.Username)
	}
	return nil
}

// login describes the login that was tried: the user or token, and how it was
// given.
func login(e workstation.Endpoint) string {
	if e.Token != "" {
		id, _, _ := strings.Cut(e.Token, "=")
		user, token, _ := strings.Cut(id, "!")
		return fmt.Sprintf("user %s with the API token %s (PROXMOX_VE_API_TOKEN)", user, token)
	}
	_, realm, _ := strings.Cut(e.Username, "@")
	return fmt.Sprintf("user %s of the realm %s with a password (PROXMOX_VE_USERNAME, PROXMOX_VE_PASSWORD)", e.Username, realm)
}
