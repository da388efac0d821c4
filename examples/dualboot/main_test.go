package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// TestEmbedded runs the whole example in real time, about ten seconds.
func TestEmbedded(t *testing.T) {
	if testing.Short() {
		t.Skip("plays in real time")
	}
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	var out bytes.Buffer
	if err := (&show{out: term.Of(&out)}).run(t.Context(), nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	words := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"1 NVMe local-lvm", "isolated: yes", "+ VM 140 windows", "already in use by VMID '140'", "VM 141 runs again"} {
		if !strings.Contains(words, want) {
			t.Errorf("the show does not say %q:\n%s", want, out.String())
		}
	}
}

// On a real node, one call either carries out the plan or switches the card.
// The program refuses flags that would have no effect.
func TestRealNode(t *testing.T) {
	host := pvetest.Reference()
	sim := pvetest.New(host, &pvetest.Options{Speed: 50}).Start()
	t.Cleanup(sim.Close)
	t.Setenv("PROXMOX_VE_ENDPOINT", sim.URL())
	t.Setenv("PROXMOX_VE_USERNAME", "")
	t.Setenv("PROXMOX_VE_API_TOKEN", "root@pam!lab="+host.RootTokens[0].Secret)
	for _, step := range []struct {
		args string
		code int
		says string
		vms  int
		runs int
	}{
		{"", 0, "Nothing was changed", 0, 0},
		{"-switch mac", 1, "-switch: want windows or linux", 0, 0},
		{"-take-over", 1, "-take-over would have no effect on a plan", 0, 0},
		{"-switch linux -card 0000:01:00.0", 1, "-card would have no effect on -switch", 0, 0},
		{"-switch linux", 3, "Blocked.", 0, 0},
		{"-apply", 0, "creating VM 141", 2, 0},
		{"-apply", 0, "nothing to do", 2, 0},
		{"-games 9000GiB", 1, "not a size", 2, 0},
		{"-games 9000G", 1, "no place for VM 140", 2, 0},
	} {
		var out bytes.Buffer
		err := (&show{out: term.Of(&out)}).run(t.Context(), append([]string{"-fingerprint", sim.Fingerprint()}, strings.Fields(step.args)...))
		text := out.String()
		if err != nil {
			text += err.Error()
		}
		if connect.Code(err) != step.code || !strings.Contains(text, step.says) || len(sim.VMs()) != step.vms || len(sim.Running()) != step.runs {
			t.Errorf("%q: code %d, want %d; %d VMs, %v run; it says\n%s", step.args, connect.Code(err), step.code, len(sim.VMs()), sim.Running(), text)
		}
	}
}

func TestFlagsWithoutANode(t *testing.T) {
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	for _, args := range [][]string{{"-apply"}, {"-switch", "linux"}, {"-node", "pve"}} {
		err := (&show{out: term.Of(&bytes.Buffer{})}).run(t.Context(), args)
		if err == nil || !strings.Contains(err.Error(), args[0]+" would have no effect, because PROXMOX_VE_ENDPOINT is not set") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
