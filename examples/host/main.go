// Host prepares a host for passthrough: from the host's next start on, cards are
// kept for guests. It also undoes this. Nothing changes without -apply.
//
//	go run ./examples/host                               # all steps, on a described host in a temporary directory
//	go run ./examples/host -root HOST.txt                # the same on another described host (internal/hosttree)
//	go run ./examples/host -keep 0000:01:00.0            # this host: the verdict, and the plan as a diff
//	go run ./examples/host -keep 0000:01:00.0 -apply     # as root: carry out the plan, then restart the host
//	go run ./examples/host -give-back 0000:01:00.0       # stop keeping the card; without an address, stop keeping all cards
//	go run ./examples/host -undo                         # undo the last -apply, byte for byte
//	go run ./examples/host -bind 0000:01:00.0            # bind it to vfio-pci now, until the host's next start
//	go run ./examples/host -release                      # bind it to its old driver again
//
// Several addresses may follow. The address of a function of a graphics card
// means all functions of the card. An address without a function, such as
// 0000:01:00, means all functions in the slot. Any other address means one function.
//
// Ctrl-C and SIGTERM end the program between two steps. It waits for a command
// that has begun, such as update-initramfs. Called again, the program goes on
// with the next step.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/iommu"
)

const about = `Host prepares a host for passthrough: it keeps cards for guests from the host's next start on, and can
take this back. Nothing changes without -apply. Without flags it shows everything on a described
host in a temporary directory.`

func main() { connect.Main("host", run) }

// A request holds the parsed arguments.
type request struct {
	keep, giveBack, undo, bind, release bool
	apply                               bool
	root                                string
	addresses                           []string
	args                                []string
	allow                               []iommu.UseKind
}

func run(ctx context.Context, args []string, out io.Writer) error {
	r, err := parse(args)
	if err != nil {
		return err
	}
	described := r.root == "" || strings.HasSuffix(r.root, ".txt")
	if described && r.modes() == 0 && !r.apply {
		return demonstrate(ctx, r.root, out)
	}
	if r.modes() != 1 {
		return errors.New("choose one of -keep, -give-back, -undo, -bind and -release")
	}
	m, err := openMachine(r.root)
	if err != nil {
		return err
	}
	defer m.close()
	m.out = out
	return m.do(ctx, r)
}

// parse accepts flags and addresses in any order.
func parse(args []string) (request, error) {
	var r request
	set := flag.NewFlagSet("host", flag.ContinueOnError)
	connect.Describe(set, about, "", "go run ./examples/host                              # a described host, end to end\nsudo go run ./examples/host -keep 0000:01:00.0 -apply   # this host")
	set.BoolVar(&r.keep, "keep", false, "keep the addresses that follow for guests, from the host's next start on")
	set.BoolVar(&r.giveBack, "give-back", false, "give the addresses that follow, or all that are kept, back to the host from its next start on")
	set.BoolVar(&r.undo, "undo", false, "take back the changes that were applied last")
	set.BoolVar(&r.bind, "bind", false, "hand the addresses that follow to vfio-pci now, until the host's next start")
	set.BoolVar(&r.release, "release", false, "give the addresses that follow, or all that were bound, back to their drivers")
	set.BoolVar(&r.apply, "apply", false, "carry out the plan; without this flag the plan is only shown")
	set.StringVar(&r.root, "root", "", "the host whose root directory this is, or a described host (.txt); commands are shown and not run")
	set.Func("arg", "another kernel argument that the host should have, such as iommu=pt; may be repeated", func(s string) error {
		r.args = append(r.args, s)
		return nil
	})
	set.Func("allow", "take a device although the host uses it for this: root, storage, network or console; may be repeated", func(s string) error {
		kind := iommu.UseKind(s)
		if !slices.Contains([]iommu.UseKind{iommu.UseRoot, iommu.UseStorage, iommu.UseNetwork, iommu.UseConsole}, kind) {
			return errors.New("want root, storage, network or console")
		}
		r.allow = append(r.allow, kind)
		return nil
	})
	for len(args) > 0 {
		if err := set.Parse(args); err != nil {
			return r, err
		}
		if args = set.Args(); len(args) > 0 {
			r.addresses, args = append(r.addresses, strings.Split(args[0], ",")...), args[1:]
		}
	}
	if len(r.addresses) == 0 && (r.keep || r.bind) {
		return r, errors.New("which card? Name its address, such as 0000:01:00.0 (lspci -D, or go run ./examples/inventory)")
	}
	if (len(r.args) > 0 && !r.keep) || (len(r.allow) > 0 && !r.keep && !r.bind) {
		return r, errors.New("-arg has an effect with -keep only, and -allow with -keep and -bind: leave the flag out")
	}
	if len(r.addresses) > 0 && (r.undo || r.modes() == 0) {
		return r, fmt.Errorf("%s: an address has an effect only with -keep, -give-back, -bind or -release: see -h", strings.Join(r.addresses, ", "))
	}
	return r, nil
}

func (r request) modes() int {
	n := 0
	for _, mode := range []bool{r.keep, r.giveBack, r.undo, r.bind, r.release} {
		if mode {
			n++
		}
	}
	return n
}
