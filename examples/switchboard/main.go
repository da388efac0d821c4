// Switchboard is a page for a phone, with a button for each system that shares
// the card. It shows which system has the card, which systems could have it, and
// why other systems could not. A button switches the card. Programs use the same
// functions over HTTP: see docs/switchboard.md.
//
//	go run ./examples/switchboard         # on an embedded node: nothing to set up
//	PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=... go run ./examples/switchboard -members 140=Windows,141=Linux
//
// If it listens on a loopback address, it needs no secret. On any other
// address, or under a host name, it asks for a secret, which SWITCHBOARD_SECRET
// or -secret-file holds. The node's token never leaves the program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/switchboard/board"
	"github.com/proxstation/proxstation/workstation"
)

const about = `Switchboard serves a page for a phone. The page shows which system has the graphics card, and gives
the card to another system. There is also an HTTP API for automation.`

func main() { connect.Main("switchboard", run) }

// A settings value holds the values of the flags and the environment.
type settings struct {
	node       *connect.Flags
	listen     string
	cert, key  string
	secretFile string
	members    string
	names      string
	duo        workstation.DualBoot
	opts       board.Options
}

func run(ctx context.Context, args []string, out io.Writer) error {
	s, err := parse(args, out)
	if err != nil {
		return err
	}
	node, closeNode, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closeNode()
	if _, err := node.Status(ctx, s.duo); err != nil {
		return err // without the node, the page would have nothing to show
	}
	s.opts.Host = node.Name()
	return s.serve(ctx, out, board.New(ctx, node, s.duo, s.opts))
}

// parse reads the flags and the environment.
func parse(args []string, out io.Writer) (*settings, error) {
	s := &settings{}
	set := flag.NewFlagSet("switchboard", flag.ContinueOnError)
	connect.Describe(set, about, connect.Variables+"  SWITCHBOARD_SECRET     the secret that the page asks for\n", "SWITCHBOARD_SECRET=... go run ./examples/switchboard -listen 192.0.2.5:8140 -members 140=Windows,141=Linux")
	s.node = connect.Register(set)
	set.StringVar(&s.listen, "listen", "127.0.0.1:8140", "address of the page")
	set.StringVar(&s.cert, "cert", "", "file with the page's certificate, for HTTPS; with -key")
	set.StringVar(&s.key, "key", "", "file with the certificate's key")
	set.StringVar(&s.secretFile, "secret-file", "", "file with the secret that the page asks for; without it SWITCHBOARD_SECRET holds the secret")
	set.StringVar(&s.names, "name", "", "host names of the page, besides localhost and IP addresses, such as a.lan,b.lan")
	set.StringVar(&s.members, "members", "140,141", "VMIDs of the VMs that share the card, each with a name for people if you like: 140=Windows,141=Linux")
	set.BoolVar(&s.duo.Force, "force", false, "stop a guest that does not shut down, as by pulling the plug")
	set.BoolVar(&s.duo.Wake, "wake", false, "wake a guest that sleeps, so that it can be shut down")
	set.DurationVar(&s.duo.Grace, "grace", 3*time.Minute, "how long a guest may take to shut down")
	set.DurationVar(&s.duo.Boot, "boot", 5*time.Minute, "how long a guest may take to come up")
	set.BoolVar(&s.duo.ReturnIfNotUp, "return-if-not-up", false, "if the new VM starts but is not up in time, shut it down and start the VM that ran before; without this flag, the new VM keeps the card")
	if err := connect.Parse(set, args); err != nil {
		return nil, err
	}
	host, _ := os.Hostname() // after an interrupted run, the next run on this host continues with the same lease
	s.duo.Owner = "switchboard on " + host
	s.opts = board.Options{Labels: map[int]string{}, Report: func(line string) { fmt.Fprintln(out, line) }}
	if (s.cert == "") != (s.key == "") {
		return nil, errors.New("-cert and -key go together")
	}
	if s.names != "" {
		s.opts.Names = strings.Split(strings.ToLower(s.names), ",")
	}
	if err := s.parseMembers(); err != nil {
		return nil, err
	}
	return s, s.readSecret()
}

func (s *settings) parseMembers() error {
	for field := range strings.SplitSeq(s.members, ",") {
		number, label, _ := strings.Cut(field, "=")
		id, err := strconv.Atoi(strings.TrimSpace(number))
		if err != nil {
			return fmt.Errorf("-members %q: %q is not a VMID; an example is 140=Windows,141=Linux", s.members, number)
		}
		s.duo.Members = append(s.duo.Members, id)
		if label = strings.TrimSpace(label); label != "" {
			s.opts.Labels[id] = label
		}
	}
	return nil
}

// shortest is the least length of a secret in characters. A secret of this
// length cannot be guessed.
const shortest = 12

var errNoSecret = errors.New("others can reach the page, so it needs a secret: set SWITCHBOARD_SECRET or -secret-file; openssl rand -base64 18 makes one")

// readSecret reads the secret. It returns an error if other machines can reach
// the page and there is no secret.
func (s *settings) readSecret() error {
	text, from := os.Getenv("SWITCHBOARD_SECRET"), "SWITCHBOARD_SECRET"
	if s.secretFile != "" {
		data, err := os.ReadFile(s.secretFile)
		if err != nil {
			return fmt.Errorf("-secret-file: %w", err)
		}
		text, from = strings.TrimSpace(string(data)), "-secret-file"
		if text == "" {
			return fmt.Errorf("-secret-file %s is empty", s.secretFile)
		}
	}
	switch {
	case text == "" && (!loopback(s.listen) || len(s.opts.Names) > 0):
		return errNoSecret
	case text != "" && len([]rune(text)) < shortest:
		return fmt.Errorf("%s: a secret has at least %d characters; openssl rand -base64 18 makes one", from, shortest)
	}
	s.opts.Secret = proxstation.NewSecret(text)
	return nil
}

// loopback reports whether an address can be reached from this machine only.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	return err == nil && (host == "localhost" || net.ParseIP(host).IsLoopback())
}

// serve serves the page until the context ends. If a switch is then under way,
// the page stays until the switch has ended, so that people see the outcome.
func (s *settings) serve(ctx context.Context, out io.Writer, b *board.Board) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	ended := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(ended)
		b.Close()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = server.Shutdown(last)
		_ = server.Close() // closes connections that did not end by themselves
	})
	if s.cert != "" || s.key != "" {
		fmt.Fprintf(out, "https://%s\n", listener.Addr())
		err = server.ServeTLS(listener, s.cert, s.key)
	} else {
		fmt.Fprintf(out, "http://%s\n", listener.Addr())
		err = server.Serve(listener)
	}
	if !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-ended
	return nil
}
