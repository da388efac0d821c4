// Pvenode serves the embedded Proxmox VE node on an address, for clients in any
// language:
//
//	go run ./examples/pvenode -listen 127.0.0.1:8006 -host reference -speed 10 -ca /tmp/pve-ca.pem
//
// It prints the node's address and its logins, and serves until Ctrl-C or
// SIGTERM. Clients trust the node with the file that -ca writes
// (REQUESTS_CA_BUNDLE, curl --cacert, NODE_EXTRA_CA_CERTS). Each node makes its
// own certificate authority, unless -cert and -key give it a certificate.
//
// -host is a kind of node (reference, amd, shared), or a JSON file that describes
// a node with the fields of pvetest.Host. -print shows the description of a kind,
// as a beginning for such a file:
//
//	go run ./examples/pvenode -host reference -print > host.json
//
// With -nodes, or with several hosts, the nodes are a cluster. Each node has its
// own port, and answers for all nodes:
//
//	go run ./examples/pvenode -nodes 3 -host reference,amd
//
// Requests below /control/ let a test change a node behind the client's back,
// cut its power, or split the network. See control.go.
package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

const about = `Pvenode serves the embedded Proxmox VE node, or a cluster of them, on an address, for clients in any
language. It says where each node is and who may log in, and serves until Ctrl-C or SIGTERM.`

func main() { connect.Main("pvenode", run) }

// options holds the parsed command line.
type options struct {
	listen, host, ca, cert, key string
	speed                       float64
	trace, nodes                int
	print                       bool
}

func run(ctx context.Context, args []string, out io.Writer) error {
	var o options
	set := flag.NewFlagSet("pvenode", flag.ContinueOnError)
	connect.Describe(set, about, "", "go run ./examples/pvenode -ca /tmp/pve-ca.pem\ncurl --cacert /tmp/pve-ca.pem -H 'Authorization: PVEAPIToken=root@pam!lab=...' https://127.0.0.1:8006/api2/json/version")
	set.StringVar(&o.listen, "listen", "127.0.0.1:8006", "address of the API; port 0 takes a free port; further nodes take the ports that follow")
	set.StringVar(&o.host, "host", "reference", "reference, amd, shared, or a file that describes a host in JSON; several with commas make a cluster")
	set.IntVar(&o.nodes, "nodes", 1, "how many nodes the cluster has; they take the hosts in turn")
	set.StringVar(&o.ca, "ca", "", "file for the certificate authority, in PEM")
	set.StringVar(&o.cert, "cert", "", "file with the certificate to show, in PEM; with -key")
	set.StringVar(&o.key, "key", "", "file with the certificate's key, in PEM")
	set.Float64Var(&o.speed, "speed", 1, "how much faster than real time the node's tasks and guests run")
	set.IntVar(&o.trace, "trace", 1000, "how many of the newest requests /control/trace remembers")
	set.BoolVar(&o.print, "print", false, "print the description of the host, and serve nothing")
	if err := connect.Parse(set, args); err != nil {
		return err
	}
	hosts, err := describeAll(o.host, o.nodes)
	switch {
	case err != nil:
		return err
	case o.print:
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(hosts[0])
	}
	cluster, err := o.cluster(hosts)
	if err != nil {
		return err
	}
	if o.ca != "" {
		if err := os.WriteFile(o.ca, cluster.Nodes()[0].CA(), 0o644); err != nil { //nolint:gosec // a certificate is public
			return err
		}
	}
	listeners, err := listenAll(ctx, o.listen, len(hosts))
	if err != nil {
		return err
	}
	for i, node := range cluster.Nodes() {
		introduce(out, hosts[i], node, listeners[i].Addr().String(), o)
	}
	logins(out, hosts)
	return serveAll(ctx, listeners, cluster)
}

// describe returns the host that the name stands for: a kind of host, or a
// file.
func describe(name string) (host pvetest.Host, err error) {
	switch name {
	case "reference":
		return pvetest.Reference(), nil
	case "amd":
		return pvetest.AMD(), nil
	case "shared":
		return pvetest.SharedGroup(), nil
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return host, fmt.Errorf("-host is reference, amd, shared or a file: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&host); err != nil {
		return host, fmt.Errorf("%s: %w", name, err)
	}
	if host.Name == "" || host.Version == "" {
		return host, fmt.Errorf("%s: a host needs a name and a version of PVE", name)
	}
	return host, nil
}

// cluster makes the nodes. It returns an error if a description contradicts
// itself or another description.
func (o options) cluster(hosts []pvetest.Host) (cluster *pvetest.Cluster, err error) {
	opts := &pvetest.Options{Speed: o.speed, TraceLimit: o.trace}
	if o.cert != "" || o.key != "" {
		certificate, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, err
		}
		opts.Certificate = &certificate
	}
	defer func() {
		if problem := recover(); problem != nil {
			err = fmt.Errorf("%s: %v", o.host, problem)
		}
	}()
	return pvetest.NewCluster(hosts, opts), nil
}

// introduce prints a node's address.
func introduce(out io.Writer, host pvetest.Host, node *pvetest.Node, address string, o options) {
	fmt.Fprintf(out, "node         %s, PVE %s, at %g times the speed\n", host.Name, host.Version, o.speed)
	fmt.Fprintf(out, "URL          https://%s/api2/json\n", address)
	fmt.Fprintf(out, "control      https://%s/control/\n", address)
	fmt.Fprintf(out, "fingerprint  %s\n", node.Fingerprint())
	if o.ca != "" {
		fmt.Fprintf(out, "CA           %s\n", o.ca)
	}
}

// logins prints the logins, which are the same on all nodes. If several hosts
// describe a user, the first description applies.
func logins(out io.Writer, hosts []pvetest.Host) {
	var users []pvetest.User
	for _, host := range hosts {
		for _, user := range append([]pvetest.User{{ID: "root@pam", Password: cmp.Or(host.Password, "secret"), Tokens: host.RootTokens}}, host.Users...) {
			if !slices.ContainsFunc(users, func(known pvetest.User) bool { return known.ID == user.ID }) {
				users = append(users, user)
			}
		}
	}
	for _, user := range users {
		var ways []string
		if user.Password != "" {
			ways = append(ways, "password "+user.Password)
		}
		for _, token := range user.Tokens {
			ways = append(ways, fmt.Sprintf("token %s!%s=%s", user.ID, token.ID, token.Secret))
		}
		fmt.Fprintf(out, "login        %s: %s\n", user.ID, strings.Join(ways, ", "))
	}
}

// serveAll serves each node on its port until the context ends, or until a server
// fails.
func serveAll(ctx context.Context, listeners []net.Listener, cluster *pvetest.Cluster) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error)
	for i, node := range cluster.Nodes() {
		go func() { ended <- serve(ctx, listeners[i], node, cluster) }()
	}
	var errs []error
	for range listeners {
		errs = append(errs, <-ended)
		stop()
	}
	return errors.Join(errs...)
}

// serve serves a node until the context ends. Requests that are then still
// running get two more seconds.
func serve(ctx context.Context, listener net.Listener, node *pvetest.Node, cluster *pvetest.Cluster) error {
	mux := http.NewServeMux()
	mux.Handle("/control/", control(node, cluster))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // PVE uses HTTP/1.1, and later versions have no message in the status line
	server := &http.Server{
		Protocols: protocols, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{node.Certificate()}, MinVersion: tls.VersionTLS12},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/control/") {
				mux.ServeHTTP(w, r)
				return
			}
			node.ServeHTTP(w, r) // without a mux, because a mux redirects paths like //version
		}),
	}
	ended := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(last) != nil {
			_ = server.Close() // a planned fault makes the last requests hang
		}
	})
	defer ended()
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
