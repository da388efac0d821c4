package workstation_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestValidateOptions(t *testing.T) {
	t.Parallel()
	const image, iso = "local:import/a.qcow2", "local:iso/a.iso"
	cloud := func(c profile.CloudInit) workstation.VM {
		return profile.LinuxAI{Image: image, CloudInit: c}.VM()
	}
	tuned := func(tuning profile.Tuning) workstation.VM { return profile.Windows11{Tuning: tuning}.VM() }
	edit := func(vm workstation.VM, change func(*workstation.VM)) workstation.VM {
		change(&vm)
		return vm
	}
	own := netip.MustParsePrefix("10.0.0.5/24")
	tests := map[string]struct {
		vm   workstation.VM
		says string // "" if it is fine
	}{
		"nothing":                         {cloud(profile.CloudInit{}), ""},
		"an installer and a cloud image":  {profile.LinuxAI{Image: image, Install: iso}.VM(), `disk "ide2": an installer and cloud-init both need this slot`},
		"an installer and cloud-init":     {profile.LinuxAI{Install: iso, CloudInit: profile.CloudInit{User: "ai"}}.VM(), `disk "ide2": an installer and cloud-init both need this slot`},
		"keys without a drive":            {edit(profile.LinuxAI{}.VM(), func(vm *workstation.VM) { vm.Config["ciuser"] = "ai" }), "ciuser: it has no effect without a cloud-init drive"},
		"a password without a drive":      {edit(profile.LinuxAI{}.VM(), func(vm *workstation.VM) { vm.Password = proxstation.NewSecret("hunter2") }), "cipassword: it has no effect without"},
		"a password among the keys":       {edit(cloud(profile.CloudInit{}), func(vm *workstation.VM) { vm.Config["cipassword"] = "hunter2" }), "cipassword: a password belongs in VM.Password"},
		"a password to set and take away": {edit(cloud(profile.CloudInit{Password: proxstation.NewSecret("x")}), func(vm *workstation.VM) { vm.Absent = []string{"cipassword"} }), "both wanted and absent"},
		"two drives of cloud-init": {edit(cloud(profile.CloudInit{}), func(vm *workstation.VM) {
			vm.Disks = append(vm.Disks, workstation.Disk{Slot: "ide0", Volume: "cloudinit"})
		}), "one drive of cloud-init"},
		"a public key":             {cloud(profile.CloudInit{SSHKeys: []string{publicKey + "\n"}}), ""},
		"a key with options":       {cloud(profile.CloudInit{SSHKeys: []string{`no-pty,from="10.0.0.1" ` + publicKey}}), ""},
		"half a key":               {cloud(profile.CloudInit{SSHKeys: []string{publicKey, publicKey[:40]}}), "sshkeys, key 2: not a public key"},
		"a private key":            {cloud(profile.CloudInit{SSHKeys: []string{"-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2"}}), "that is a private key"},
		"a gateway alone":          {cloud(profile.CloudInit{Gateway: own.Addr()}), "gw needs ip with an address of its own"},
		"a gateway elsewhere":      {cloud(profile.CloudInit{Address: own, Gateway: netip.MustParseAddr("10.0.1.1")}), "gw is not in the network of ip"},
		"a gateway of another age": {cloud(profile.CloudInit{Address: own, Gateway: netip.MustParseAddr("fe80::1")}), "gw is not an address of the same kind as"},
		"an address without length": {edit(cloud(profile.CloudInit{}), func(vm *workstation.VM) { vm.Config["ipconfig0"] = "ip=10.0.0.5" }),
			"ip wants an address with the length of its network"},
		"SLAAC": {edit(cloud(profile.CloudInit{}), func(vm *workstation.VM) { vm.Config["ipconfig1"] = "ip=dhcp,ip6=auto" }), ""},

		"pinned":                      {tuned(profile.Tuning{Pin: "0-3, 8"}), ""},
		"pinned backwards":            {tuned(profile.Tuning{Pin: "4-2"}), `affinity "4-2": "4-2" is no range of CPUs`},
		"pinned to a word":            {tuned(profile.Tuning{Pin: "P-cores"}), "is no CPU and no range of CPUs"},
		"pinned beyond every machine": {tuned(profile.Tuning{Pin: "0-999999"}), "is no range of CPUs"},
		"pages of 2 MiB":              {tuned(profile.Tuning{HugePages: 2 * storage.MiB}), ""},
		"pages of 4 MiB":              {tuned(profile.Tuning{HugePages: 4 * storage.MiB}), `hugepages "4": pages are of 2 MiB or 1 GiB`},
		"memory of broken pages":      {profile.Windows11{Memory: 9*storage.GiB + 512*storage.MiB, Tuning: profile.Tuning{HugePages: storage.GiB}}.VM(), `memory "9728": it is not a multiple of the huge pages`},
		"sockets of broken pages": {edit(profile.Windows11{Memory: 9 * storage.GiB, Tuning: profile.Tuning{HugePages: storage.GiB}}.VM(), func(vm *workstation.VM) { vm.Config["sockets"] = "2" }),
			"1.0 GiB for each socket"},
		"pages without NUMA":           {edit(tuned(profile.Tuning{HugePages: storage.GiB}), func(vm *workstation.VM) { delete(vm.Config, "numa") }), "PVE wants numa: 1"},
		"USB by all names":             {tuned(profile.Tuning{USB: []string{"keyboard", "0x046d:0xc52b", "1-2.3", "2-1"}}), ""},
		"USB by no name":               {tuned(profile.Tuning{USB: []string{"046d"}}), `usb0 "046d": not a USB device`},
		"USB with more to say":         {tuned(profile.Tuning{USB: []string{"046d:c52b,usb3=1"}}), ""},
		"15 USB devices":               {tuned(profile.Tuning{USB: slices.Repeat([]string{"046d:c52b"}, 15)}), "usb14: PVE has usb0 to usb13"},
		"6 USB devices for another OS": {edit(profile.LinuxAI{Tuning: profile.Tuning{USB: slices.Repeat([]string{"1-2"}, 6)}}.VM(), func(vm *workstation.VM) { vm.Config["ostype"] = "other" }), "usb5: PVE has"},
		"USB of nothing":               {edit(tuned(profile.Tuning{}), func(vm *workstation.VM) { vm.Config["usb0"] = "usb3=1" }), "want either a device of the host or a mapping"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := test.vm.Validate()
			if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, workstation.ErrInvalid) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("Validate: %v, want %q", err, test.says)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestDiffJudgesOptionsByTheHost(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil)) // a host with 8 logical CPUs
	tests := map[string]struct {
		cores   int
		tuning  profile.Tuning
		says    string // part of the error
		finding string
	}{
		"nothing":             {8, profile.Tuning{}, "", ""},
		"too many cores":      {9, profile.Tuning{}, `cores "9": the host has 8 logical CPUs`, ""},
		"pinned":              {6, profile.Tuning{Pin: "2-7"}, "", ""},
		"pinned beyond":       {2, profile.Tuning{Pin: "6-9,12"}, `affinity "8-9,12": the host has logical CPUs 0 to 7`, ""},
		"pinned to few":       {6, profile.Tuning{Pin: "4-7"}, "", "workstation.pinned-few"},
		"pinned to all":       {8, profile.Tuning{Pin: "0-7"}, "", "workstation.pinned-all"},
		"pages of 1 GiB":      {8, profile.Tuning{HugePages: storage.GiB}, "", "workstation.huge-pages"},
		"pages of 2 MiB":      {8, profile.Tuning{HugePages: 2 * storage.MiB}, "", ""},
		"USB by its mapping":  {8, profile.Tuning{USB: []string{"keyboard"}}, "", ""},
		"USB, a token logged": {8, profile.Tuning{USB: []string{"1-2"}}, "", "workstation.root-only"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{profile.Windows11{Cores: test.cores, Tuning: test.tuning}.VM()}}, facts)
			if test.says == "" && err != nil || test.says != "" && (!errors.Is(err, workstation.ErrInvalid) || !strings.Contains(err.Error(), test.says)) {
				t.Errorf("error %v, want %q", err, test.says)
			}
			if test.finding != "" && !hasFindings(p, test.finding) {
				t.Errorf("findings %v, want %s", p.Findings, test.finding)
			}
		})
	}
}

// A password is sent once and is never visible in a plan, an event, an error or
// JSON. PVE's mask of the password does not count as a difference.
func TestAPasswordIsSeenNowhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(pvetest.Reference(), nil)
		node := open(sim)
		vm := profile.LinuxAI{Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM()
		spec := func() workstation.Spec { return workstation.Spec{VMs: []workstation.VM{vm}} }
		seen := ""
		apply := func() {
			t.Helper()
			p := plan(t, node, spec())
			text, err := json.Marshal(p.Steps)
			if err != nil {
				t.Fatal(err)
			}
			seen += fmt.Sprintf("%s %v %+v %#v %s", p, p, p, p.Steps, text)
			err = node.Apply(t.Context(), p, &workstation.ApplyOptions{Progress: func(e workstation.Event) { seen += fmt.Sprintf("%+v", e) }})
			if err != nil {
				t.Fatal(err)
			}
		}
		password := func() string { state, _ := sim.VM(141); return state.Config["cipassword"] }
		apply()
		vm.Password = proxstation.NewSecret("hunter2")
		apply() // this adds a password to a VM without a password
		if password() != "hunter2" || !strings.Contains(seen, "+ cipassword  [secret]") {
			t.Errorf("the password is %q; seen: %s", password(), seen)
		}
		vm.Password = proxstation.NewSecret("hunter3")
		if p := plan(t, node, spec()); !p.Empty() {
			t.Errorf("another password makes a plan, which could not know: %s", p)
		}
		vm.Password, vm.Absent = proxstation.Secret{}, []string{"cipassword"}
		apply() // this is the documented way to change a password
		vm.Password, vm.Absent = proxstation.NewSecret("hunter4"), nil
		apply()
		if password() != "hunter4" {
			t.Errorf("the password is %q, want the other one", password())
		}
		for _, request := range sim.Trace() {
			seen += fmt.Sprint(request.Params)
		}
		if strings.Contains(seen, "hunter") {
			t.Errorf("a password is seen: %s", seen)
		}
	})
}

// SSH keys are compared as keys, even if PVE and the Spec escape them
// differently.
func TestSSHKeysAreComparedAsKeys(t *testing.T) {
	t.Parallel()
	vm := profile.LinuxAI{Image: "local:import/a.qcow2", CloudInit: profile.CloudInit{SSHKeys: []string{publicKey}}}.VM()
	for have, same := range map[string]bool{
		vm.Config["sshkeys"]: true,
		strings.ReplaceAll(strings.TrimSuffix(vm.Config["sshkeys"], "%0A"), "%40", "@"): true,
		vm.Config["sshkeys"] + vm.Config["sshkeys"]:                                     false,
		"%": false,
	} {
		config := map[string]string{"sshkeys": have}
		for _, key := range []string{"scsi0", "efidisk0"} {
			config[key] = "local-lvm:vm-141-disk-0,size=64G"
		}
		config["ide2"] = "local-lvm:vm-141-cloudinit,media=cdrom"
		facts := workstation.Facts{Node: "pve", VMs: map[int]workstation.VMFacts{141: {ID: 141, Name: "linux-ai", Config: config}}}
		p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
		if err != nil || strings.Contains(p.String(), "sshkeys") == same {
			t.Errorf("%s: %v\n%s", have, err, p)
		}
	}
}

func TestDriveOfCloudInitHasItsPlace(t *testing.T) {
	t.Parallel()
	vm := profile.LinuxAI{CloudInit: profile.CloudInit{User: "ai"}}.VM()
	for name, test := range map[string]struct{ ide0, ide2, says, plan string }{
		"none yet":         {"", "", "", "+ ide2"},
		"there":            {"", "local-lvm:vm-141-cloudinit,media=cdrom,size=4M", "", ""},
		"in place of a CD": {"", "local:iso/a.iso,media=cdrom,size=3G", "", "local-lvm:cloudinit,media=cdrom   #"},
		"beside a disk":    {"", "local-lvm:vm-141-disk-7,size=8G", "", "+ ide0"},
		"in another slot":  {"local-lvm:vm-141-cloudinit,media=cdrom", "", "", ""},
	} {
		facts := observe(t, pvetest.New(pvetest.Reference(), nil))
		config := with(vm.Config, map[string]string{"scsi0": "local-lvm:vm-141-disk-0,size=64G", "efidisk0": "local-lvm:vm-141-disk-1,efitype=4m,pre-enrolled-keys=0,size=4M"})
		for key, value := range map[string]string{"ide0": test.ide0, "ide2": test.ide2} {
			if value != "" {
				config[key] = value
			}
		}
		facts.VMs[141] = workstation.VMFacts{ID: 141, Name: "linux-ai", Config: config}
		p, err := workstation.Diff(workstation.Spec{VMs: []workstation.VM{vm}}, facts)
		switch {
		case test.says != "":
			if !errors.Is(err, workstation.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%s: %v, want %q", name, err, test.says)
			}
		case err != nil || p.Empty() != (test.plan == "") || !strings.Contains(p.String(), test.plan):
			t.Errorf("%s: %v\n%s", name, err, p)
		}
	}
}

// If two VMs take turns on a card and both start with the host, the plan
// reports it.
func TestTwoVMsWithOneCardAndOnboot(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]pvetest.Host{"to be made": pvetest.Reference(), "to be changed": made()} {
		facts := observe(t, pvetest.New(host, nil))
		for _, both := range []bool{true, false} {
			spec := dualBootSpec()
			spec.VMs[0].Config["onboot"] = "1"
			if both {
				spec.VMs[1].Config["onboot"] = "1"
			}
			p, err := workstation.Diff(spec, facts)
			if err != nil || hasFindings(p, "gpu.onboot-race") != both || !hasFindings(p, "gpu.shared-card") {
				t.Errorf("VMs %s, both with onboot %v: %v\n%s", name, both, err, p)
			}
		}
	}
}

// The plan names the driver that a Blackwell card needs in a Linux guest.
func TestBlackwellNeedsOpenModules(t *testing.T) {
	t.Parallel()
	facts := observe(t, pvetest.New(pvetest.Reference(), nil))
	p, err := workstation.Diff(dualBootSpec(), facts)
	if err != nil || !strings.Contains(p.String(), "NVIDIA's open kernel modules, version 570 or newer") {
		t.Errorf("%v\n%s", err, p)
	}
}

// If Apply fails half-way, applying the same plan again completes it.
func TestTheSamePlanGoesOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(made(), nil)
		node := open(sim)
		spec := dualBootSpec()
		spec.VMs[0].Disks[0].Size = 138 * storage.GiB
		spec.VMs[0].Config["memory"] = "20480"
		p := plan(t, node, spec)
		sim.Inject(pvetest.Fault{Task: "qmconfig", Kind: pvetest.TaskFails})
		if err := node.Apply(t.Context(), p, nil); err == nil || len(p.Steps) != 2 {
			t.Errorf("the fault passes: %v\n%s", err, p)
		}
		if err := node.Apply(t.Context(), p, nil); err != nil {
			t.Error(err)
		}
		if again := plan(t, node, spec); !again.Empty() {
			t.Errorf("a second plan is not empty:\n%s", again)
		}
	})
}

// A new CD drive does not change the boot order.
func TestTheBootOrderIsAsAskedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sim := pvetest.New(made(), nil)
		node := open(sim)
		spec := dualBootSpec()
		for _, slot := range []string{"ide0", "ide2"} {
			spec.VMs[0].Disks = append(spec.VMs[0].Disks, workstation.Disk{Slot: slot, Purpose: storage.Image, Volume: "none", Options: map[string]string{"media": "cdrom"}})
		}
		if err := node.Apply(t.Context(), plan(t, node, spec), nil); err != nil {
			t.Fatal(err)
		}
		if p := plan(t, node, spec); !p.Empty() {
			t.Errorf("a second plan is not empty:\n%s", p)
		}
	})
}
