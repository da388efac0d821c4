package install_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A program's "apply" command calls Diff and Apply once each, and prints the
// reports.
func Example() {
	ctx := context.Background()
	sim := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: 100}).Start()
	defer sim.Close()
	node, err := workstation.Connect(ctx, workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Fingerprint: sim.Fingerprint()}, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	vm := profile.LinuxAI{Models: 80 * storage.GiB, Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM()
	guest := install.Guest{VMID: vm.ID, Linux: &firstboot.LinuxAI{
		HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse"), Models: &firstboot.ModelsDisk{Slot: "scsi1"},
	}}
	plan, err := install.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, []install.Guest{guest}, facts)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan.SetUps[0]) // a person approves the whole plan; then comes install.Apply(ctx, node, plan, nil)
	// Output:
	// Then Linux in VM 141 linux-ai is set up
	//    1. the VM starts, unless it runs
	//    2. the guest reports through its agent, within 90 minutes
	//    3. the seed is taken out of scsi2 and deleted, even if the set-up failed
	//    needs /vms/141 VM.PowerMgmt, /vms/141 VM.GuestAgent.Unrestricted|VM.Monitor, /vms/141 VM.Config.CDROM, /storage/local Datastore.AllocateTemplate, /storage/local Datastore.Allocate
}

// Apply sets up a guest on an embedded node. The guest completes its own set-up
// immediately.
func ExampleApply() {
	ctx := context.Background()
	host := pvetest.Reference()
	host.Guests = map[int]pvetest.Guest{141: {
		Boot: 1, Files: map[string][]byte{firstboot.LinuxState: []byte("phase=done\nagent=1:7.2\n")},
		Exec: func([]string, []byte) pvetest.Result {
			return pvetest.Result{Stdout: []byte("verify: qemu-guest-agent=active\nverify: done=yes\n")}
		},
	}}
	sim := pvetest.New(host, &pvetest.Options{Speed: 100}).Start()
	defer sim.Close()
	node, err := workstation.Connect(ctx, workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Fingerprint: sim.Fingerprint()}, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	vm := profile.LinuxAI{Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM()
	guest := install.Guest{VMID: vm.ID, Linux: &firstboot.LinuxAI{HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse")}}
	plan, err := install.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, []install.Guest{guest}, facts)
	if err != nil {
		fmt.Println(err)
		return
	}
	last := workstation.Phase("")
	progress := func(e workstation.Event) {
		if e.Phase != last {
			fmt.Println(e.Phase)
			last = e.Phase
		}
	}
	reports, err := install.Apply(ctx, node, plan, &install.Options{Progress: progress})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, check := range reports[0].Checks {
		fmt.Println(check.Answer, check.Subject, "-", check.Seen)
	}
	// Output:
	// upload
	// apply
	// installing
	// first boot
	// seed
	// devices
	// ready
	// yes guest agent - qemu-guest-agent.service: active
}

// A guest that cannot be set up in its VM is refused before anything changes.
func ExampleGuestError() {
	ctx := context.Background()
	sim := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: 100}).Start()
	defer sim.Close()
	node, err := workstation.Connect(ctx, workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Fingerprint: sim.Fingerprint()}, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	vm := profile.LinuxAI{}.VM() // without an Image
	guest := install.Guest{VMID: vm.ID, Linux: &firstboot.LinuxAI{HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse")}}
	_, err = install.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, []install.Guest{guest}, facts)
	var refused *install.GuestError
	if errors.As(err, &refused) {
		fmt.Println(errors.Is(err, install.ErrGuest), refused.VMID)
		fmt.Println(refused.Why)
	}
	// Output:
	// true 141
	// scsi0 is an empty disk: want a cloud image (Image of the profile)
}

// The guest reports that its set-up has failed. Apply reads the log through the
// guest's agent and deletes the seed. To repeat the set-up, set the guest's
// Again.
func ExampleSetupError() {
	ctx := context.Background()
	host := pvetest.Reference()
	host.Guests = map[int]pvetest.Guest{141: {Boot: 1, Files: map[string][]byte{
		firstboot.LinuxState: []byte("phase=driver\nfailed=these packages could not be installed: nvidia-open\n"),
		firstboot.LinuxLog:   []byte("== driver\nE: Unable to locate package nvidia-open\n"),
	}}}
	sim := pvetest.New(host, &pvetest.Options{Speed: 100}).Start()
	defer sim.Close()
	node, err := workstation.Connect(ctx, workstation.Endpoint{URL: sim.URL(), Username: "root@pam", Password: "secret", Fingerprint: sim.Fingerprint()}, "", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	facts, err := node.Observe(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	vm := profile.LinuxAI{Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM()
	guest := install.Guest{VMID: vm.ID, Linux: &firstboot.LinuxAI{HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse")}}
	plan, err := install.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, []install.Guest{guest}, facts)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = install.Apply(ctx, node, plan, nil)
	var failed *install.SetupError
	if errors.As(err, &failed) {
		fmt.Println(failed.Phase, "-", failed.Why)
		fmt.Print(failed.Log)
	}
	// Output:
	// first boot - these packages could not be installed: nvidia-open
	// == driver
	// E: Unable to locate package nvidia-open
}

// If a seed stays on the node, a program can tell its user which volume still
// holds a password.
func ExampleSeedError() {
	err := errors.Join(
		&install.SetupError{VMID: 141, Phase: install.PhaseFirstBoot, Why: "the VM went off"},
		&install.SeedError{Volume: "local:iso/firstboot-linux-ai-4dd560a2e3f7.iso", Cause: workstation.ErrLocked},
	)
	var left *install.SeedError
	if errors.As(err, &left) && !left.Gone {
		fmt.Println("a password is in", left.Volume)
	}
	fmt.Println(left)
	// Output:
	// a password is in local:iso/firstboot-linux-ai-4dd560a2e3f7.iso
	// install: the seed local:iso/firstboot-linux-ai-4dd560a2e3f7.iso, which holds a password, is still there: delete it on the node with pvesm free local:iso/firstboot-linux-ai-4dd560a2e3f7.iso: locked
}
