package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

const serverKey = "OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw="

// serverHost returns the reference host. Its guest in VM 120 prints the given
// output when it runs a set-up script.
func serverHost(output string) pvetest.Host {
	host := pvetest.Reference()
	host.Guests = map[int]pvetest.Guest{120: scripted(func(argv []string, input []byte, _ string) pvetest.Result {
		if !slices.Equal(argv, []string{"/bin/sh", "/root/.proxstation-rustdesk.sh"}) || string(input) != "\n\n" {
			return pvetest.Result{Code: 127, Stderr: fmt.Appendf(nil, "%q < %q", argv, input)}
		}
		return pvetest.Result{Stdout: []byte(output), After: time.Second}
	})}
	return host
}

const serverMade = "rustdesk: changed hbbs package\nrustdesk: hbbs 1.1.16\nrustdesk: hbbr 1.1.16\nrustdesk: key " + serverKey + "\nrustdesk: done\n"

func TestSetUpRustDeskServer(t *testing.T) {
	t.Parallel()
	setup := rustdesk.ServerSetup{Host: "rd.example"}
	for _, test := range []struct {
		name, output, want string
		setup              rustdesk.ServerSetup
		is                 error
	}{
		{"made", serverMade, "RustDesk's server runs; changed: hbbs package", setup, nil},
		{"there", serverMade[len("rustdesk: changed hbbs package\n"):], "RustDesk's server runs; changed: nothing", setup, nil},
		{"stopped", "rustdesk: error ports nothing listens\n", "setting RustDesk up in the guest, which may take minutes", setup, rustdesk.ErrSetup},
		{"no host", serverMade, "", rustdesk.ServerSetup{}, rustdesk.ErrServer},
	} {
		synctest.Test(t, func(t *testing.T) {
			host := serverHost(test.output)
			host.VMs = []pvetest.VM{{ID: 120, Running: true, Config: map[string]string{"name": "rustdesk-server", "agent": "enabled=1"}}}
			sim := pvetest.New(host, nil)
			last := ""
			report, err := rustdesk.SetUpServer(t.Context(), open(sim).Agent(120), test.setup, func(e rustdesk.Event) { last = e.Message })
			if !errors.Is(err, test.is) || last != test.want {
				t.Errorf("%s: %v, %q; want %v, %q", test.name, err, last, test.is, test.want)
			}
			server := report.Server
			if made := server.ID == "rd.example" && server.Key.Reveal() == serverKey; made != (test.is == nil) {
				t.Errorf("%s: server %+v", test.name, server)
			}
		})
	}
}

// This makes a VM for a RustDesk server, sets the server up, and makes the
// configuration of its clients.
func ExampleRustDeskServer() {
	ctx := context.Background()
	node, closeNode := embeddedNode(serverHost(serverMade))
	defer closeNode()
	vm := profile.RustDeskServer{Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM()
	vm.Config["cicustom"] = "vendor=local:snippets/agent.yaml" // the snippet installs the guest agent
	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
	if err == nil {
		err = node.Apply(ctx, plan, nil)
	}
	if err == nil {
		err = node.Start(ctx, vm.ID)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	setup := rustdesk.ServerSetup{Host: "192.168.1.20"} // set HBBS and HBBR too, to install the programs
	report, err := rustdesk.SetUpServer(ctx, node.Agent(vm.ID), setup, nil)
	fmt.Printf("%+v %v\n", report.Server, err)
	config := rustdesk.Unattended(report.Server, proxstation.NewSecret("a long permanent password")) // pass this to rustdesk.PlanFor
	fmt.Println(config.Validate())
	// Output:
	// {ID:192.168.1.20 Relay: API: Key:[secret]} <nil>
	// <nil>
}
