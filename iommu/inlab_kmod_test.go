//go:build linux

package iommu_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// The tests of this file run in the machine "kmod" of internal/lab, whose
// initramfs has loaded no module yet. They load modules as udev does in an
// initramfs: with modprobe -b and each device's modalias, in the order of the
// addresses. The driver of a function is therefore decided by kmod and the
// kernel.

// inKmod skips the test outside of the machine kmod.
func inKmod(t *testing.T) {
	t.Helper()
	if inLab(t) != "kmod" {
		t.Skip("needs the machine without modules")
	}
}

// The function "modprobe" runs modprobe and ignores a failure, because a test
// may forbid a module on purpose.
func modprobe(t *testing.T, args ...string) {
	t.Helper()
	_ = exec.CommandContext(t.Context(), "/bin/modprobe", args...).Run()
}

// coldplug loads the modules that match the devices' aliases. Before these
// modules, it loads the list "early", as a host does for the file
// /etc/initramfs-tools/modules. At the end, it loads the list "late", as a host
// does for /etc/modules.
func coldplug(t *testing.T, early, late []string) {
	t.Helper()
	for _, module := range early {
		modprobe(t, module)
	}
	files, err := filepath.Glob("/sys/bus/pci/devices/*/modalias")
	if err != nil || len(files) == 0 {
		t.Fatalf("aliases %v, %v", files, err)
	}
	var told []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		alias := strings.TrimSpace(string(text))
		if bridge := strings.Contains(alias, "bc06"); bridge || slices.Contains(told, alias) {
			continue // the lab has no modules for bridges
		}
		told = append(told, alias)
		modprobe(t, "-b", "-q", alias)
	}
	for _, module := range late {
		modprobe(t, module)
	}
}

// The function "unload" unbinds all functions and removes all modules.
func unload(t *testing.T) {
	t.Helper()
	bound, _ := filepath.Glob("/sys/bus/pci/devices/*/driver/unbind")
	for _, file := range bound {
		address := filepath.Base(filepath.Dir(filepath.Dir(file)))
		if driver, _ := os.Readlink(filepath.Dir(file)); filepath.Base(driver) == "pcieport" {
			continue
		}
		if err := os.WriteFile(file, []byte(address), 0); err != nil {
			t.Logf("unbinding %s: %v", address, err)
		}
	}
	consoles, _ := filepath.Glob("/sys/class/vtconsole/vtcon*/bind")
	for _, file := range consoles { // a console that draws on a card keeps the card's module in use
		_ = os.WriteFile(file, []byte("0"), 0)
	}
	for removed := true; removed; {
		removed = false
		loaded, err := os.ReadFile("/proc/modules")
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(loaded)) {
			name, _, _ := strings.Cut(line, " ")
			removed = unix.DeleteModule(name, unix.O_NONBLOCK) == nil || removed
		}
	}
	loaded, _ := os.ReadFile("/proc/modules")
	for line := range strings.Lines(string(loaded)) {
		if name, _, _ := strings.Cut(line, " "); slices.Contains([]string{"vfio_pci", "snd_hda_intel", "e1000", "nvme"}, name) {
			t.Fatalf("%s stays loaded", strings.TrimSpace(line))
		}
	}
}

// The function "configure" replaces all files of modprobe.d.
func configure(t *testing.T, files map[string]string) {
	t.Helper()
	if err := errors.Join(os.RemoveAll("/etc/modprobe.d"), os.MkdirAll("/etc/modprobe.d", 0o755)); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile("/etc/modprobe.d/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The models of two functions: the sound function of the first card, and the
// network function of the second card.
const (
	soundID = "8086:293e"
	nicID   = "8086:100e"
)

// driversOf returns the drivers of all functions of one model.
func driversOf(facts iommu.Facts, model string) (drivers []string) {
	for _, fn := range facts.Functions {
		if fn.Model.String() == model {
			drivers = append(drivers, fn.Driver)
		}
	}
	return drivers
}

// othersFiles holds files of modprobe.d as people write them. Each entry has
// the drivers that the kernel then bound to the sound function and to the
// network card, and the findings on the files.
var othersFiles = map[string]struct {
	files       map[string]string
	early, late []string // modules loaded by name, before and after the devices' modules
	sound, nic  string   // the expected drivers; if nic is "", it is e1000
	says        []string // the IDs of the expected findings
	mends       bool     // the fix has a softdep that gives the function to vfio-pci
}{
	"nothing":                      {files: map[string]string{}, sound: "snd_hda_intel"},
	"ids, and vfio-pci comes late": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\n"}, late: []string{"vfio-pci"}, sound: "snd_hda_intel", says: []string{"iommu.driver-first"}, mends: true},
	"ids, and vfio-pci comes early": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\n"}, early: []string{"vfio-pci"},
		sound: "vfio-pci"},
	"ids and a softdep": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\nsoftdep snd_hda_intel pre: vfio-pci\n"}, sound: "vfio-pci"},
	"a softdep without a colon": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\nsoftdep snd_hda_intel pre vfio-pci\n"}, late: []string{"vfio-pci"},
		sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"a softdep the wrong way round": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\nsoftdep vfio-pci pre: snd_hda_intel\n"}, early: []string{"vfio-pci"},
		sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"two softdeps, the first of something else": {files: map[string]string{"a.conf": "softdep snd_hda_intel pre: e1000\n", "vfio.conf": "options vfio-pci ids=" + soundID + "\nsoftdep snd_hda_intel pre: vfio-pci\n"},
		late: []string{"vfio-pci"}, sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"a blacklist": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\nblacklist snd_hda_intel\n"}, late: []string{"vfio-pci"}, sound: "vfio-pci"},
	"a blacklist, and the module is loaded by name": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\nblacklist snd_hda_intel\n"}, early: []string{"snd_hda_intel"},
		late: []string{"vfio-pci"}, sound: "snd_hda_intel", says: []string{"iommu.driver-first"}},
	"a blacklist of two names": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\nblacklist e1000 snd_hda_intel\n"}, late: []string{"vfio-pci"},
		sound: "snd_hda_intel", nic: "none", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"a blacklist with Windows' line ends": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\r\nblacklist snd_hda_intel\r\n"}, late: []string{"vfio-pci"},
		sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"a blacklist in a file that is not read": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\n", "blacklist.txt": "blacklist snd_hda_intel\n"}, late: []string{"vfio-pci"},
		sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-unread"}},
	"a comment that swallows the softdep": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\n# sound \\\nsoftdep snd_hda_intel pre: vfio-pci\n"}, late: []string{"vfio-pci"},
		sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"an install line": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\ninstall snd_hda_intel /bin/false\n"}, late: []string{"vfio-pci"}, sound: "vfio-pci"},
	"an install line that a softdep switches off": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + "\ninstall snd_hda_intel /bin/false\nsoftdep snd_hda_intel pre: e1000\n"},
		late: []string{"vfio-pci"}, sound: "snd_hda_intel", says: []string{"iommu.driver-first", "iommu.modprobe-ignored"}},
	"a blank in the list of ids": {files: map[string]string{"vfio.conf": "options vfio-pci ids=" + soundID + ", " + nicID + "\nsoftdep snd_hda_intel pre: vfio-pci\nsoftdep e1000 pre: vfio-pci\n"},
		sound: "vfio-pci", says: []string{"iommu.ids-bad"}},
	"two lists of ids": {files: map[string]string{"a.conf": "options vfio-pci ids=" + soundID + "\n", "b.conf": "options vfio-pci ids=" + nicID + "\nsoftdep snd_hda_intel pre: vfio-pci\nsoftdep e1000 pre: vfio-pci\n"},
		sound: "snd_hda_intel", nic: "vfio-pci", says: []string{"iommu.ids-lost"}},
	"ids without a value": {files: map[string]string{"vfio.conf": "options vfio-pci ids = " + soundID + "\nsoftdep snd_hda_intel pre: vfio-pci\n"}, late: []string{"vfio-pci"},
		sound: "snd_hda_intel", says: []string{"iommu.vfio-forbidden"}},
	"a misspelt word": {files: map[string]string{"vfio.conf": "option vfio-pci ids=" + soundID + "\nsoftdep snd_hda_intel pre: vfio-pci\n"},
		sound: "snd_hda_intel", says: []string{"iommu.modprobe-ignored"}},
}

var softdepOfFix = regexp.MustCompile(`"(softdep [^"]+)"`)

// The findings on files of modprobe.d agree with the drivers that the kernel
// chose.
func TestInKmodFilesOfOthers(t *testing.T) { //nolint:paralleltest // the machine is shared
	inKmod(t)
	about := []string{"iommu.driver-first", "iommu.modprobe-ignored", "iommu.modprobe-unread", "iommu.ids-bad", "iommu.ids-lost", "iommu.vfio-forbidden"}
	for _, name := range slices.Sorted(maps.Keys(othersFiles)) { //nolint:paralleltest // the machine is shared
		t.Run(name, func(t *testing.T) {
			test := othersFiles[name]
			configure(t, test.files)
			unload(t)
			coldplug(t, test.early, test.late)
			facts := readLab(t)
			nic := map[string]string{"": "e1000", "none": ""}[test.nic]
			if test.nic == "vfio-pci" {
				nic = test.nic
			}
			if got := driversOf(facts, soundID); !slices.Equal(got, []string{test.sound}) {
				t.Errorf("the sound function has %q, want %q", got, test.sound)
			}
			if got := driversOf(facts, nicID); !slices.Equal(got, []string{nic}) {
				t.Errorf("the network card has %q, want %q", got, nic)
			}
			var said []string
			var order proxstation.Finding
			for _, f := range facts.Check() {
				if slices.Contains(about, f.ID) && !slices.Contains(said, f.ID) {
					said = append(said, f.ID)
				}
				if f.ID == "iommu.driver-first" {
					order = f
				}
			}
			slices.Sort(said)
			if !slices.Equal(said, slices.Sorted(slices.Values(test.says))) {
				t.Errorf("said %v, want %v", said, test.says)
			}
			if !test.mends {
				return
			}
			line := softdepOfFix.FindStringSubmatch(order.Fix)
			if line == nil {
				t.Fatalf("the fix shows no softdep: %v", order)
			}
			files := maps.Clone(test.files)
			files["vfio.conf"] += line[1] + "\n"
			configure(t, files)
			unload(t)
			coldplug(t, test.early, test.late)
			if got := driversOf(readLab(t), soundID); !slices.Equal(got, []string{"vfio-pci"}) {
				t.Errorf("mended as the finding says, the sound function has %q", got)
			}
		})
	}
}

// After a plan for a card, the card's functions are on vfio-pci at the next
// start. If two cards have the same model, the plan keeps only the card for
// which it was made, by the card's address. After the undo of the plan, no
// function is kept.
func TestInKmodPlanKeepsACard(t *testing.T) { //nolint:paralleltest // the machine is shared
	inKmod(t)
	configure(t, map[string]string{"theirs.conf": "options snd_hda_intel power_save=1\n"})
	unload(t)
	coldplug(t, nil, nil)
	before := readLab(t)
	one, two := labCards(t, before)
	if one.Driver == "" || one.Model != two.Model {
		t.Fatalf("the cards have the drivers %q and %q, models %s and %s", one.Driver, two.Driver, one.Model, two.Model)
	}
	var card []iommu.Address
	for _, fn := range before.Slot(one.Address) {
		card = append(card, fn.Address)
	}
	plan, err := before.Prepare(card, &iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}})
	if err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	run := func(context.Context, []string) error { return nil } // this machine runs in its initramfs, which needs no update
	if err := plan.Apply(t.Context(), root, run); err != nil {
		t.Fatal(err)
	}
	unload(t)
	coldplug(t, nil, []string{"vfio-pci"})
	after := readLab(t)
	for _, a := range card {
		if fn, _ := after.Function(a); fn.Driver != "vfio-pci" {
			t.Errorf("%s is kept, and has the driver %q", a, fn.Driver)
		}
	}
	if other, _ := after.Function(two.Address); other.Driver != two.Driver {
		t.Errorf("the other card of the model has %q, before %q", other.Driver, two.Driver)
	}
	if again, err := after.Prepare(card, &iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}}); err != nil || !again.Empty() {
		t.Errorf("planned again: %v, %v", again, err)
	}
	if err := iommu.Undo(t.Context(), root, run); err != nil {
		t.Fatal(err)
	}
	for _, a := range card { // driver_override, which a line of the plan set, stays until the next start
		_ = os.WriteFile("/sys/bus/pci/devices/"+a.String()+"/driver_override", []byte("\n"), 0)
	}
	unload(t)
	coldplug(t, nil, nil)
	if given, want := drivers(readLab(t)), drivers(before); !maps.Equal(given, want) {
		t.Errorf("taken back, the drivers are %v, before %v", given, want)
	}
}

// An idle function on vfio-pci falls asleep, wakes when a guest opens it, and
// stays awake with disable_idle_d3=1, as the findings on power say.
//
// QEMU shows D3hot but not D3cold. In D3cold a slot has no power. Only the
// platform can switch that power, with the ACPI methods _PR3 or _PS3 of the
// port (platform_pci_power_manageable in drivers/pci/pci.c). QEMU's q35 has no
// such methods for its root ports (hw/i386/acpi-build.c). The test therefore
// reads d3cold_allowed, and cannot show that a card comes back from D3cold.
func TestInKmodIdleFunctionsFallAsleep(t *testing.T) { //nolint:paralleltest // the machine is shared
	inKmod(t)
	for _, idle := range []string{"N", "Y"} {
		value := map[string]string{"N": "0", "Y": "1"}[idle]
		configure(t, map[string]string{"vfio.conf": "options vfio-pci ids=1b36:0010 disable_idle_d3=" + value + "\nsoftdep nvme pre: vfio-pci\n"})
		unload(t)
		coldplug(t, nil, []string{"vfio_iommu_type1"})
		facts := readLab(t)
		i := slices.IndexFunc(facts.Functions, func(fn iommu.Function) bool { return fn.Model.String() == "1b36:0010" })
		if i < 0 || facts.Functions[i].Driver != "vfio-pci" || facts.Functions[i].Power == nil {
			t.Fatalf("the NVMe controller is not on vfio-pci: %+v", facts.Functions)
		}
		fn := facts.Functions[i]
		if module, _ := facts.Module("vfio_pci"); module.Parameters["disable_idle_d3"] != idle {
			t.Errorf("disable_idle_d3 is %v, want %s", module.Parameters, idle)
		}
		asleep := map[string]string{"N": "D3hot suspended", "Y": "D0 active"}[idle]
		if got := power(t, fn.Address, asleep); got != asleep {
			t.Errorf("idle with disable_idle_d3=%s: %q, want %q", idle, got, asleep)
		}
		if fn.Power.D3ColdAllowed == proxstation.Unknown {
			t.Error("d3cold_allowed is not read")
		}
		device := openGuest(t, fn)
		if got := power(t, fn.Address, "D0 active"); got != "D0 active" {
			t.Errorf("opened, with disable_idle_d3=%s: %q", idle, got)
		}
		device()
		if got := power(t, fn.Address, asleep); got != asleep {
			t.Errorf("closed, with disable_idle_d3=%s: %q, want %q", idle, got, asleep)
		}
	}
}

// The function "power" waits until a function has the wanted power state,
// because the kernel suspends in the background. It returns the state, such as
// "D3hot suspended".
func power(t *testing.T, a iommu.Address, want string) (have string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		fn, _ := readLab(t).Function(a)
		have = fn.Power.State + " " + fn.Power.Runtime
		if have == want || time.Now().After(end) {
			return have
		}
	}
}

// openGuest opens a PCI function as QEMU does. closeAll closes the PCI function
// again (Documentation/driver-api/vfio.rst, VFIO Usage Example).
func openGuest(t *testing.T, fn iommu.Function) (closeAll func()) {
	t.Helper()
	const setIOMMU, setContainer, deviceFD, type1 = 0x3b66, 0x3b68, 0x3b6a, 1
	container, err := unix.Open("/dev/vfio/vfio", unix.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	group, err := unix.Open("/dev/vfio/"+fn.Group.String(), unix.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(group, setContainer, container); err != nil {
		t.Fatalf("VFIO_GROUP_SET_CONTAINER: %v", err)
	}
	if err := unix.IoctlSetInt(container, setIOMMU, type1); err != nil {
		t.Fatalf("VFIO_SET_IOMMU: %v", err)
	}
	device, err := openDevice(group, deviceFD, fn.Address.String())
	if err != nil {
		t.Fatalf("VFIO_GROUP_GET_DEVICE_FD: %v", err)
	}
	return func() { unix.Close(device); unix.Close(group); unix.Close(container) }
}

// The firmware's picture lies in the display's memory. vfio-pci removes the
// picture when it binds to a VGA function (Linux 6.0 and newer), as the finding
// gpu.framebuffer says. Debian's kernel of the lab shows the picture with
// vesafb; it has no simpledrm.
func TestInPictureGoesWhenVFIOBinds(t *testing.T) { //nolint:paralleltest // the machine is shared
	if inLab(t) != "picture" {
		t.Skip("needs a display with a picture")
	}
	before := readLab(t)
	i := slices.IndexFunc(before.Framebuffers, func(fb iommu.Framebuffer) bool { return fb.Firmware })
	if i < 0 {
		t.Fatalf("no picture of the firmware among %+v", before.Framebuffers)
	}
	picture := before.Framebuffers[i]
	if display, _ := before.Function(picture.Address); !display.Class.IsDisplay() || picture.BAR == nil || *picture.BAR != 0 {
		t.Errorf("the picture %+v is not in BAR 0 of a display", picture)
	}
	binding, err := before.Bind([]iommu.Address{picture.Address}, &iommu.BindOptions{Allow: []iommu.UseKind{iommu.UseConsole}})
	if err != nil {
		t.Fatal(err)
	}
	sys, err := os.OpenRoot("/sys")
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Close()
	if err := binding.Apply(sys); err != nil {
		t.Fatal(err)
	}
	after := readLab(t)
	if fn, _ := after.Function(picture.Address); fn.Driver != "vfio-pci" {
		t.Errorf("the display has the driver %q", fn.Driver)
	}
	for _, fb := range after.Framebuffers {
		if fb.Firmware {
			t.Errorf("the picture is still there: %+v", fb)
		}
	}
}
