package workstation

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// An Endpoint is where a node's API is and how to log in: URL, and Token or
// Username and Password; RootCAs or Fingerprint for a certificate that the
// system does not trust. It prints as its URL, never with its secrets.
type Endpoint = pve.Endpoint

// Errors of a node, to branch on with [errors.Is].
var (
	ErrNotFound   = pve.ErrNotFound   // no such VM, storage or task
	ErrPermission = pve.ErrPermission // a privilege is missing
	ErrLogin      = pve.ErrLogin      // the node refuses the login
	ErrNotPVE     = pve.ErrNotPVE     // the endpoint is something else
	ErrLocked     = pve.ErrLocked     // another task or a backup has the VM
	ErrInUse      = pve.ErrInUse      // another VM has the PCI device
	ErrNoAnswer   = pve.ErrNoAnswer   // the answer got lost: it may have had effect
	ErrAgent      = pve.ErrAgent      // the guest agent does not answer
)

type (
	// A TaskError is a task that PVE began and that failed: its UPID, PVE's
	// last words and the end of its log.
	TaskError = pve.TaskError
	// A RequestError is a refusal of the node: method, path, status and PVE's
	// message.
	RequestError = pve.Error
	// A CertificateError says that the node's certificate cannot be trusted,
	// with the fingerprint that was seen.
	CertificateError = pve.CertificateError
)

// ErrNoNode means that the cluster has no node of that name.
var ErrNoNode = errors.New("no such node")

// A Node is one PVE node. It is safe for concurrent use.
type Node struct {
	name  string
	pve   *pve.Client
	opts  Options
	owner string   // of its leases, unless the caller names one
	turns sync.Map // a chan struct{} by the place of a lease
}

// Options control a [Node]. Nil is fine.
type Options struct {
	// RootTicket says whether the client is logged in as root@pam with a
	// password, which alone may set raw PCI addresses, args and romfile. PVE
	// has no way to ask; [Connect] knows. Unknown, the plan says which steps
	// need it.
	RootTicket proxstation.Answer
	// Tiers are tiers of storages that the caller knows better than the
	// disks tell, by the storage's name.
	Tiers map[string]storage.Tier
}

// Open returns a node that is reached with the caller's client, which brings
// URL, login, TLS and proxy. It makes no request.
//
// A client of [Connect] does more: go-proxmox by itself drops the message of a
// 403, takes a 595 with data for success, and with a password logs in at most
// once an hour, also when the node no longer takes its ticket.
func Open(client *proxmox.Client, node string, opts *Options) *Node {
	if opts == nil {
		opts = &Options{}
	}
	host, _ := os.Hostname() // without a name the rest has to do
	return &Node{name: node, pve: pve.New(client, node), opts: *opts, owner: fmt.Sprintf("%s/%d/%s", host, os.Getpid(), rand.Text()[:4])}
}

// Connect logs in to an endpoint and returns its node. The node's name may be
// empty where there is only one. TLS is verified, by the system's CAs, by
// RootCAs, or by Fingerprint.
//
// The errors are [CertificateError], and those that match [ErrNotPVE],
// [ErrLogin] and [ErrNoNode].
func Connect(ctx context.Context, e Endpoint, node string, opts *Options) (*Node, error) {
	client, err := pve.Dial(e)
	if err != nil {
		return nil, err
	}
	if _, err := pve.Probe(ctx, client); err != nil {
		return nil, err
	}
	names, err := pve.New(client, "").Nodes(ctx)
	if err != nil {
		return nil, err
	}
	if node == "" && len(names) == 1 {
		node = names[0]
	}
	if !slices.Contains(names, node) {
		return nil, fmt.Errorf("workstation: %w: %q is not among the nodes %s", ErrNoNode, node, strings.Join(names, ", "))
	}
	n := Open(client, node, opts)
	if n.opts.RootTicket == proxstation.Unknown {
		n.opts.RootTicket = proxstation.AnswerOf(e.Token == "" && e.Username == "root@pam")
	}
	return n, nil
}

// Name returns the node's name.
func (n *Node) Name() string { return n.name }
