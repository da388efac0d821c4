package workstation_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/lab/guest"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A starter starts VMs in a real QEMU and remembers from which volume each VM
// started.
type starter struct {
	facts workstation.Facts
	turn  chan bool
	mu    sync.Mutex
	known map[string]string // the volumes, by QEMU command line
}

// newStarter returns a starter. It skips the test if QEMU or OVMF is missing.
func newStarter(t *testing.T, facts workstation.Facts) *starter {
	t.Helper()
	needFirmware(t, "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd")
	return &starter{facts: facts, turn: make(chan bool, 2), known: map[string]string{}}
}

// This starts a VM and returns the volume from which the VM started. It returns
// "" if the VM started from none of its volumes. If QEMU does not accept the
// command line, it also returns QEMU's message.
func (s *starter) from(t *testing.T, config map[string]string, mappings []gpu.Mapping) (volume, refused string) {
	t.Helper()
	dir := t.TempDir()
	args, err := guest.Bootable(config, dir, func(value string) []iommu.Function { return s.functions(value, mappings) })
	if err != nil {
		t.Fatal(err)
	}
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.ReplaceAll(strings.Join(args, "\n"), dir, "")+lines(config))))
	s.mu.Lock()
	known, done := s.known[id]
	s.mu.Unlock()
	if !done {
		s.turn <- true
		known = start(t, args)
		<-s.turn
		s.mu.Lock()
		s.known[id] = known
		s.mu.Unlock()
	}
	if why, is := strings.CutPrefix(known, "refused: "); is {
		return "", why
	}
	return strings.TrimSuffix(known, guest.Nothing), ""
}

// start runs QEMU until QEMU ends or prints the volume from which the VM
// started.
func start(t *testing.T, args []string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "qemu-system-x86_64", args...)
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.StdoutPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	reader := bufio.NewReader(out)
	for {
		line, err := reader.ReadString('\n')
		if _, volume, found := strings.Cut(strings.TrimSpace(line), guest.Said); found {
			return volume
		}
		if err == io.EOF {
			break
		}
	}
	_ = command.Wait()
	if ctx.Err() != nil {
		t.Errorf("the firmware starts from nothing: %v", ctx.Err())
	}
	return "refused: " + strings.TrimSpace(complaint.String())
}

// This returns the host's PCI functions that a hostpci value names. If the host
// has no such device, it returns one function with the class of a display.
func (s *starter) functions(value string, mappings []gpu.Mapping) []iommu.Function {
	h, err := gpu.ParseHostPCI(value)
	if err != nil {
		return nil
	}
	node := gpu.Node{Name: s.facts.Node, Functions: s.facts.IOMMU.Functions, Mappings: mappings}
	for _, set := range node.Resolve(h) {
		var functions []iommu.Function
		for _, a := range set {
			for _, f := range s.facts.IOMMU.Functions {
				if f.Address == a {
					functions = append(functions, f)
				}
			}
		}
		if len(functions) > 0 {
			return functions
		}
	}
	return []iommu.Function{{Class: 0x030000}}
}

// needFirmware skips the test if QEMU or a file of OVMF is missing. If the lab
// is required, the test fails instead.
func needFirmware(t *testing.T, files ...string) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts firmware")
	}
	_, err := exec.LookPath("qemu-system-x86_64")
	for _, file := range files {
		if err == nil {
			_, err = os.Stat(filepath.Join(guest.OVMF, file))
		}
	}
	switch {
	case err != nil && os.Getenv("PROXSTATION_LAB") == "required":
		t.Fatal(err)
	case err != nil:
		t.Skip("no firmware is started: ", err)
	}
}

// A VM starts from a disk on every bus that the firmware supports, and from a
// CD.
func TestPayloadsStart(t *testing.T) {
	t.Parallel()
	s := newStarter(t, workstation.Facts{Node: "pve"})
	for _, bios := range []string{"ovmf", "seabios"} {
		for _, machine := range []string{"q35", "pc"} {
			for slot, value := range map[string]string{"scsi0": "local-lvm:vm-1-disk-0,size=1G", "virtio7": "local-lvm:vm-1-disk-1,size=1G", "sata3": "local-lvm:vm-1-disk-2,size=1G",
				"ide2": "local:iso/a.iso,media=cdrom,size=1G", "ide1": "local-lvm:vm-1-disk-3,size=1G"} {
				t.Run(strings.Join([]string{bios, machine, slot}, " "), func(t *testing.T) {
					t.Parallel()
					config := map[string]string{"bios": bios, "machine": machine, slot: value, "boot": "order=" + slot, "scsihw": "virtio-scsi-pci", "virtio0": "local-lvm:1", "sata0": "local-lvm:vm-1-disk-9"}
					want, _, _ := strings.Cut(value, ",")
					if volume, refused := s.from(t, config, nil); volume != want {
						t.Errorf("it starts from %q, want %s; QEMU says %q", volume, want, refused)
					}
				})
			}
		}
	}
}

// This returns Specs for a VM as a person would write them. They use the
// profile that fits the VM: once with only an ID, a name and a card, and once
// with all fields.
func fitting(t *testing.T, facts workstation.Facts, id int) map[string]workstation.Spec {
	t.Helper()
	adopted, err := profile.Adopt(facts, id)
	if err != nil {
		t.Fatal(err)
	}
	spec := func(p profile.Profile) workstation.Spec {
		return workstation.Spec{VMs: []workstation.VM{p.VM()}, Mappings: []workstation.CardMapping{{ID: "rtx", Card: rtx}}}
	}
	switch p := adopted.Profile.(type) {
	case profile.Windows11:
		p.Card, p.Games = "rtx", 8*storage.GiB
		p.Install, p.Drivers = "local:iso/Win11_25H2_English_x64.iso", "local:iso/virtio-win-0.1.285.iso"
		return map[string]workstation.Spec{"card": spec(profile.Windows11{ID: id, Name: p.Name, Card: "rtx"}), "all": spec(p)}
	case profile.LinuxAI:
		p.Card, p.Models, p.Tuning.USB = "rtx", 8*storage.GiB, []string{"1-2"}
		return map[string]workstation.Spec{"card": spec(profile.LinuxAI{ID: id, Name: p.Name, Card: "rtx"}), "all": spec(p)}
	case profile.MacOS:
		bare := profile.MacOS{ID: id, Name: p.Name, Release: p.Release, Stage: profile.MacOnCard, HostCPU: facts.CPU}
		i := slices.IndexFunc(facts.Cards(), func(c gpu.Card) bool { return c.Address().String() == "0000:00:02.0" })
		bare.Card = facts.Cards()[i]
		p.Stage, p.Card, p.Data, p.OSK = profile.MacOnCard, bare.Card, 8*storage.GiB, proxstation.NewSecret(dummyOSK)
		return map[string]workstation.Spec{"card": spec(bare), "all": spec(p)}
	}
	return nil
}

// This returns a VM's configuration and the mappings as the plan leaves them.
func after(facts workstation.Facts, plan workstation.Plan, id int) (map[string]string, []gpu.Mapping) {
	config, mappings := maps.Clone(facts.VMs[id].Config), slices.Clone(facts.Mappings)
	for _, step := range plan.Steps {
		switch s := step.(type) {
		case workstation.PutMapping:
			mappings = append(mappings, s.Mapping)
		case workstation.ChangeVM:
			if s.VMID != id {
				continue
			}
			maps.Copy(config, s.Set)
			for _, key := range s.Delete {
				delete(config, key)
			}
		}
	}
	return config, mappings
}

// keepsStarting compares from which volume a VM starts before and after a plan.
// A VM that starts must go on starting from the same volume, unless the plan
// says that it will start from another volume. keepsStarting does not apply a
// plan with a blocker.
func (s *starter) keepsStarting(t *testing.T, facts workstation.Facts, id int, specs map[string]workstation.Spec) (compared int) {
	t.Helper()
	had, refused := "", "not tried"
	for name, spec := range specs {
		plan, err := workstation.Diff(spec, facts)
		if err != nil || proxstation.Worst(plan.Findings) == proxstation.Blocker {
			continue
		}
		will, mappings := after(facts, plan, id)
		if maps.Equal(will, facts.VMs[id].Config) {
			continue
		}
		if refused == "not tried" {
			had, refused = s.from(t, facts.VMs[id].Config, facts.Mappings)
		}
		has, refusedThen := s.from(t, will, mappings)
		told := hasFindings(plan, "workstation.boot-changed")
		if compared++; refused == "" && had != "" && (refusedThen != "" || has != had && !told) {
			t.Errorf("%s: it started from %q, and then from %q; QEMU says %q\nbefore:\n%s\n%s", name, had, has, refusedThen, lines(facts.VMs[id].Config), plan)
		}
	}
	return compared
}

// Every VM of the case folders starts from the same volume before and after a
// plan. The test makes the plan of the case, and plans for the profile that
// fits the VM.
func TestCasesKeepStarting(t *testing.T) {
	t.Parallel()
	s := newStarter(t, observe(t, pvetest.New(pvetest.Reference(), nil)))
	for _, dir := range slow.Pick(t, 6, caseDirs(t), filepath.Base) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			c := readCase(t, dir)
			_, node := c.connect(t)
			facts, err := node.Observe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			facts.RootTicket = proxstation.Yes
			compared := 0
			for id := range facts.VMs {
				specs := fitting(t, facts, id)
				if own := c.spec(t, facts); slices.ContainsFunc(own.VMs, func(vm workstation.VM) bool { return vm.ID == id }) && specs != nil {
					specs["its own"] = own
				}
				compared += s.keepsStarting(t, facts, id, specs)
			}
			t.Logf("firmware: %d plans compared", compared)
		})
	}
}

// VMs with any machine type, bus, boot order and arguments keep starting from
// the same volume.
func TestGeneratedVMsKeepStarting(t *testing.T) {
	t.Parallel()
	base := observe(t, pvetest.New(pvetest.Reference(), nil))
	base.RootTicket = proxstation.Yes
	s := newStarter(t, base)
	var seeds []uint64
	for seed := range uint64(20) {
		seeds = append(seeds, seed)
	}
	for _, seed := range slow.Pick(t, 3, seeds, func(seed uint64) string { return fmt.Sprint(seed) }) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			facts := generatedFacts(t, seed, base)
			s.keepsStarting(t, facts, 140, fitting(t, facts, 140))
		})
	}
}

// A VM without a list of boot devices starts from its CD, or, without a CD
// drive, from the disk that the firmware finds. If BootOrder returns devices
// for this VM, the first of them must be the device that it starts from.
func TestPayloadsStartWithoutAnOrder(t *testing.T) {
	t.Parallel()
	const disk, cd = "local-lvm:vm-1-disk-0", "local:iso/a.iso"
	s := newStarter(t, workstation.Facts{Node: "pve"})
	for name, test := range map[string]struct {
		config map[string]string
		want   string
	}{
		"a disk alone":       {map[string]string{"scsi0": disk}, disk},
		"a disk and a CD":    {map[string]string{"scsi0": disk, "ide2": cd + ",media=cdrom"}, cd},
		"an empty CD drive":  {map[string]string{"scsi0": disk, "ide2": "none,media=cdrom"}, ""},
		"letters":            {map[string]string{"scsi0": disk, "ide2": cd + ",media=cdrom", "boot": "cd", "bootdisk": "scsi0"}, disk},
		"an order of nobody": {map[string]string{"scsi0": disk, "boot": "order="}, disk},
	} {
		for _, bios := range []string{"ovmf", "seabios"} {
			t.Run(name+" with "+bios, func(t *testing.T) {
				t.Parallel()
				config := with(test.config, map[string]string{"bios": bios, "scsihw": "virtio-scsi-pci"})
				volume, refused := s.from(t, config, nil)
				if volume != test.want || refused != "" {
					t.Errorf("it starts from %q, want %q; QEMU says %q", volume, test.want, refused)
				}
				if order := qmconf.BootOrder(config); len(order) > 0 {
					slot := order[0]
					if first, _, _ := strings.Cut(config[slot], ","); first != "none" && first != test.want {
						t.Errorf("the order begins with %s: %s", slot, first)
					}
				}
			})
		}
	}
}
