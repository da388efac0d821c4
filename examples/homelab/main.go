// Homelab changes a node so that it has the workstations that a page describes,
// and switches cards between them:
//
//	go run ./examples/homelab init                # looks at the node and writes homelab.yaml
//	go run ./examples/homelab check               # checks the page and its secrets, and whether the node can have these workstations
//	go run ./examples/homelab plan -out plan.json # shows what would change
//	go run ./examples/homelab apply plan.json     # makes these changes, and no others
//	go run ./examples/homelab status              # shows the workstations and the sets as they are now
//	go run ./examples/homelab switch windows      # gives the card to windows
//	go run ./examples/homelab watch               # prints each change of a set
//	go run ./examples/homelab remote              # plans RustDesk and other ways into running guests; -apply sets them up
//	go run ./examples/homelab destroy windows     # removes the VM of windows with its disks
//	go run ./examples/homelab host plan           # on the host: shows what would change to keep cards for guests
//	go run ./examples/homelab move windows pve2   # moves windows, which must be off, to the node pve2
//	go run ./examples/homelab tour                # shows an embedded cluster: placing, switching across nodes, a node that dies
//	go run ./examples/homelab export              # prints the page as a Spec, in JSON
//
// examples/homelab/homelab.yaml is a page to begin with. Without
// PROXMOX_VE_ENDPOINT each command runs on a node embedded in the program. This
// node is the host for which the page was written. It starts without VMs, and is
// gone when the command ends.
//
// # Exit codes
//
//	0  done, or nothing to do
//	1  an error in the page, the node or the call; also if a node could not be
//	   read, and only the other nodes were planned or changed
//	2  plan: there are changes
//	3  blocked: nothing was changed, and the last lines say what has to be done
//	4  apply: the saved plan no longer fits the node or its VMs; nothing was changed
//	5  a person did not confirm; nothing was changed
//
// With -json a command prints one JSON value. watch prints a value per line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

const about = `Homelab makes and changes the VMs of a Proxmox VE node as a page says,
and gives a card from one VM to another. The page is homelab.yaml,
or the file that -f names; examples/homelab/homelab.yaml is an example.`

const codes = `Exit codes:
  0 done, or nothing to do    2 plan: there are changes   3 blocked, nothing changed
  4 stale saved plan          5 the answer was no         1 an error, or a part of the page could not be planned
`

const example = `cp examples/homelab/homelab.yaml . && go run ./examples/homelab plan   # on the embedded node
PROXMOX_VE_ENDPOINT=https://pve:8006 PROXMOX_VE_API_TOKEN=... go run ./examples/homelab init`

func main() {
	connect.Main("homelab", func(ctx context.Context, args []string, out io.Writer) error {
		return run(ctx, args, &app{out: term.Of(out), in: os.Stdin, person: term.IsTerminal(os.Stdin)})
	})
}

// A command is a subcommand of the program, such as plan.
type command struct {
	name, args, about string
	most              int // the largest number of arguments
	// setUp adds the command's flags and returns the function that runs the
	// command.
	setUp func(a *app, set *flag.FlagSet) func(ctx context.Context) error
}

func commands() []command {
	return []command{
		{"init", "", "look at the node and write a first page: its cards, its VMs as they are", 0, (*app).initialize},
		{"check", "", "check the page, its secrets, and whether the node can have what the page says", 0, (*app).check},
		{"plan", "", "show what would change", 0, (*app).plan},
		{"apply", "[PLAN]", "carry out the plan, or a saved plan, and nothing else", 1, (*app).apply},
		{"status", "", "show the workstations, who has the card, and the storages", 0, (*app).status},
		{"switch", "NAME", "give the card to a workstation", 1, (*app).switchTo},
		{"watch", "", "show the status again whenever it changes", 0, (*app).watch},
		{"remote", "[NAME...]", "show what remote access (RustDesk, SSH and others) lacks in the guests, and set it up", 99, (*app).remote},
		{"destroy", "NAME...", "remove workstations with all their disks", 99, (*app).destroy},
		{"host", "plan|apply|undo", "on the host itself: keep cards for guests, as the page says", 1, (*app).host},
		{"move", "NAME NODE", "move a workstation that is off to another node of the cluster", 2, (*app).move},
		{"tour", "", "show the commands on an embedded cluster, while one of its nodes loses its power", 0, (*app).tour},
		{"export", "", "print the page as a Spec, in JSON", 0, (*app).export},
	}
}

// An app is one call of the program.
type app struct {
	out    *term.Terminal
	in     io.Reader // the source of a person's answers
	person bool      // whether a person is there to answer
	flags  *connect.Flags
	args   []string
	path   string // path of the page's file
	json   bool
	from   string          // file of the saved plan that is applied
	off    []string        // nodes that are switched off, as a person has seen
	again  []string        // workstations to set up once more
	nodes  int             // number of nodes of the embedded cluster
	kept   site            // the embedded cluster, if several commands share it
	sims   []*pvetest.Node // the embedded nodes; nil if the environment names a node
	close  func()
}

func run(ctx context.Context, args []string, a *app) error {
	if len(args) == 0 || slices.Contains([]string{"-h", "-help", "--help", "help"}, args[0]) {
		a.help()
		if len(args) == 0 {
			return &connect.Exit{Status: 1}
		}
		return nil
	}
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == args[0] })
	if i < 0 {
		var names []string
		for _, c := range all {
			names = append(names, c.name)
		}
		return fmt.Errorf("%q is not a command: want %s; see -h", args[0], strings.Join(names, ", "))
	}
	c := all[i]
	set := flag.NewFlagSet("homelab "+c.name, flag.ContinueOnError)
	set.SetOutput(a.out)
	do := c.setUp(a, set)
	connect.Describe(set, strings.TrimSpace("homelab "+c.name+" "+c.args)+": "+c.about+".\n\n"+codes, connect.Variables, "go run ./examples/homelab "+strings.TrimSpace(c.name+" "+strings.ToLower(c.args)))
	if err := a.parse(set, args[1:]); err != nil {
		return err
	}
	if len(a.args) > c.most {
		return fmt.Errorf("%q is one argument too many: want homelab %s; see homelab %s -h", a.args[c.most], strings.TrimSpace(c.name+" "+c.args), c.name)
	}
	a.close = func() {}
	defer func() { a.close() }()
	return do(ctx)
}

// parse accepts flags and arguments in any order.
func (a *app) parse(set *flag.FlagSet, args []string) error {
	for {
		if err := set.Parse(args); err != nil {
			return err
		}
		if set.NArg() == 0 {
			break
		}
		a.args, args = append(a.args, set.Arg(0)), set.Args()[1:]
	}
	if a.flags != nil && a.nodes < 1 {
		return fmt.Errorf("-embedded-nodes %d: want 1 or more", a.nodes)
	}
	given := false
	set.Visit(func(f *flag.Flag) { given = given || f.Name == "embedded-nodes" })
	if a.flags != nil && given && connect.Configured() { // the tour needs no node, so it has no flags that name a node
		return errors.New("-embedded-nodes would have no effect, because PROXMOX_VE_ENDPOINT is set: leave one of them out")
	}
	if a.flags != nil && !connect.Configured() {
		return a.flags.NoEffect()
	}
	return nil
}

func (a *app) help() {
	a.out.Say("%s\n\nCommands:", about)
	for _, c := range commands() {
		fmt.Fprintf(a.out, "  %-22s %s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	}
	fmt.Fprintf(a.out, "\n%s\n%s\nExample:\n  %s\n", codes, connect.Variables, strings.ReplaceAll(example, "\n", "\n  "))
}

var errNo = errors.New("nothing was changed")

// confirm asks the person at the terminal for confirmation. The person has to
// type yes.
func (a *app) confirm(question string) error {
	if a.json {
		return errors.New("with -json nobody is asked: add -yes to agree to the changes")
	}
	if !a.person {
		return errors.New("nobody can be asked, because the input is not a terminal: add -yes to agree to the changes")
	}
	fmt.Fprintf(a.out, "\n%s Type yes: ", question)
	var answer string
	if _, err := fmt.Fscanln(a.in, &answer); err != nil || answer != "yes" {
		return &connect.Exit{Status: connect.No, Err: errNo}
	}
	return nil
}
