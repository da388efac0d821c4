package workstation

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/homes"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// An Endpoint says where a node's API is and how to log in: with Token, or with
// Username and Password. It prints as its URL, never with its secrets.
type Endpoint struct {
	// URL is the address of the node: "https://pve.example:8006".
	URL string
	// Token is an API token: "user@realm!id=secret".
	Token string
	// Username is an account with its realm: "root@pam".
	Username string
	Password string
	// RootCAs holds the authorities that verify the node's certificate; nil
	// means the system's CAs.
	RootCAs *x509.CertPool
	// Fingerprint is the SHA-256 fingerprint of the node's certificate, as
	// PVE's web interface prints it. If it is set, no other certificate is
	// accepted.
	Fingerprint string
	// Transport replaces the network and the verification of the certificate,
	// for tests. Nil means the network.
	Transport http.RoundTripper
}

// Format implements [fmt.Formatter]: every verb prints the URL, without a
// password.
func (e Endpoint) Format(f fmt.State, verb rune) {
	fmt.Fprintf(f, fmt.FormatString(f, verb), pve.Endpoint(e).String())
}

// MarshalText returns the URL without a password, so JSON and logs show no
// secret either.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(pve.Endpoint(e).String()), nil }

// ErrNoNode reports a node that the cluster does not have.
var ErrNoNode = errors.New("no such node")

// A Node is one PVE node. It is safe for concurrent use.
type Node struct {
	name string
	pve  *pve.Client
	vms  homes.VMs // the VMs of all nodes of the cluster
	opts NodeOptions
	*controller
}

// A controller holds the state that a Node shares with the nodes that [Node.On]
// returns. To other controllers, all these nodes are one controller.
type controller struct {
	owner  string   // the name of the owner in leases, unless DualBoot.Owner gives a name
	turns  sync.Map // the *turn of each set, by the VMID of the VM that holds the lease
	leases leases
}

// NodeOptions control a [Node]. A nil pointer means the defaults.
type NodeOptions struct {
	// RootTicket says whether the client is logged in as root@pam with a
	// password. Only that login may set raw PCI addresses, args and romfile.
	// PVE's API does not say how a client logged in; [Connect] knows it. If it
	// is unknown, the plan names the steps that need such a login.
	RootTicket proxstation.Answer
	// Tiers holds tiers of storages by name. They replace the tiers that the
	// disks would give.
	Tiers map[string]storage.Tier
}

// Open returns a node that is reached with the caller's client. The client
// determines URL, login, TLS and proxy. Open makes no request.
//
// [Connect] makes a better client. A plain go-proxmox client drops the message
// of a 403, takes a 595 with data for success, and reads answers of any size.
// It closes connections that the next round of requests opens again. With a
// password, it logs in at most once an hour, even if the node refuses the
// ticket.
//
// A plain go-proxmox client also follows redirects, with the login and the
// body. Before anything is sent, Node stops a request that would go to another
// host, or to the same host without TLS. It cannot stop the request if the
// client's transport is not an [http.Transport], if the redirect leads to the
// same host and port, or in an upload.
//
// If the client's http.Client has a transport made by [Transport], only the
// login works less well than with Connect.
func Open(client *proxmox.Client, node string, opts *NodeOptions) *Node {
	return open(pve.New(client, node), node, opts)
}

func open(client *pve.Client, node string, opts *NodeOptions) *Node {
	if opts == nil {
		opts = &NodeOptions{}
	}
	host, _ := os.Hostname() // without the name, the other parts distinguish owners
	return &Node{name: node, pve: client, vms: homes.New(client, node), opts: *opts, controller: &controller{owner: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:4])}}
}

// Transport returns a transport for the http.Client of a caller's own
// proxmox.Client. As in the clients of [Connect], messages of the node are then
// kept, answers are bounded, and no redirect is followed. If base is an
// [http.Transport], it is cloned, and the clone keeps as many connections open
// as are used at the same time. If base is nil, the default transport is used.
func Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = http.DefaultTransport
	}
	if network, ok := base.(*http.Transport); ok {
		network = network.Clone()
		network.MaxIdleConnsPerHost = max(network.MaxIdleConnsPerHost, pve.InFlight)
		base = network
	}
	return pve.Transport(base)
}

// Connect logs in to an endpoint and returns its node. The node's name may be
// empty if the cluster has only one node. TLS is verified by the system's CAs,
// by RootCAs or by Fingerprint.
//
// The error is a [CertificateError], or matches [ErrNotPVE], [ErrLogin] or
// [ErrNoNode]. If the endpoint cannot be used, it matches [ErrInvalid].
func Connect(ctx context.Context, e Endpoint, node string, opts *NodeOptions) (*Node, error) {
	client, err := pve.Dial(pve.Endpoint(e))
	if err != nil {
		return nil, explain(err)
	}
	if _, err := client.Probe(ctx); err != nil {
		return nil, err
	}
	names, err := client.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	if node == "" && len(names) == 1 {
		node = names[0]
	}
	if !slices.Contains(names, node) {
		return nil, fmt.Errorf("workstation: %w: %q is not among the nodes %s", ErrNoNode, node, strings.Join(names, ", "))
	}
	n := open(client.On(node), node, opts)
	if n.opts.RootTicket == proxstation.Unknown {
		n.opts.RootTicket = proxstation.AnswerOf(e.Token == "" && e.Username == "root@pam")
	}
	return n, nil
}

// On returns another node of the same cluster, which is reached through the
// same client and the same address: PVE's nodes pass requests on to each other.
// To other controllers both nodes are one controller, so they wait for each
// other's switches. On makes no request, and does not check that the node
// exists.
func (n *Node) On(name string) *Node {
	client := n.pve.On(name)
	return &Node{name: name, pve: client, vms: n.vms.For(client, name), opts: n.opts, controller: n.controller}
}

// Name returns the node's name.
func (n *Node) Name() string { return n.name }
