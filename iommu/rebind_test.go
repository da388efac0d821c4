package iommu

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// fakeCore is a driver core that is as strict as the kernel. It refuses or
// silently ignores the same requests as the kernel. The lab shows that the real
// core behaves in the same way.
type fakeCore struct {
	devices map[string]*fakeDevice
	drivers map[string][]string // the models that each driver accepts
	broken  map[string]error    // the error of a write to a file
	shy     map[string]bool     // no driver accepts these devices, and probing them returns no error
	writes  []string
}

type fakeDevice struct{ model, driver, override, config string }

func newFakeCore() *fakeCore {
	card := "0x10de 0x2504"
	return &fakeCore{
		devices: map[string]*fakeDevice{
			"0000:0a:00.0": {model: card, driver: "nouveau"},
			"0000:0a:00.1": {model: "0x10de 0x228e", driver: "snd_hda_intel"},
			"0000:0b:00.0": {model: card, driver: "nouveau"},
			"0000:0b:00.1": {model: "0x10de 0x228e"},
		},
		drivers: map[string][]string{
			"nouveau": {card}, "snd_hda_intel": {"0x10de 0x228e"},
			vfioPCI: {card}, // as after ids=10de:2504
		},
		broken: map[string]error{}, shy: map[string]bool{},
	}
}

func (c *fakeCore) device(name string) (*fakeDevice, string, error) {
	rest, ok := strings.CutPrefix(name, pciDevices+"/")
	address, file, _ := strings.Cut(rest, "/")
	d := c.devices[address]
	if !ok || d == nil {
		return nil, "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return d, file, nil
}

func (c *fakeCore) Readlink(name string) (string, error) {
	if driver, ok := strings.CutPrefix(name, "bus/pci/drivers/"); ok {
		if c.drivers[driver] == nil {
			return "", fs.ErrNotExist
		}
		return "", syscall.EINVAL // the name is a directory
	}
	d, _, err := c.device(name)
	if err != nil {
		return "", err
	}
	if d.driver == "" {
		return "", fs.ErrNotExist
	}
	return "../../../../bus/pci/drivers/" + d.driver, nil
}

func (c *fakeCore) ReadFile(name string) ([]byte, error) {
	d, file, err := c.device(name)
	if err != nil {
		return nil, err
	}
	vendor, device, _ := strings.Cut(d.model, " ")
	content := map[string]string{"vendor": vendor + "\n", "device": device + "\n", "config": d.config + "config"}
	return []byte(content[file]), nil
}

func (c *fakeCore) Write(name, value string) error {
	c.writes = append(c.writes, name+" "+strings.TrimSpace(value))
	if err := c.broken[name]; err != nil {
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	switch dir := path.Dir(name); {
	case name == "bus/pci/drivers_probe":
		return c.probe(value)
	case path.Base(name) == "bind":
		return c.attach(path.Base(dir), value)
	}
	d, file, err := c.device(name)
	if err != nil {
		return err
	}
	switch {
	case file == "driver_override" && value == "":
		return syscall.EINVAL
	case file == "driver_override":
		d.override = strings.TrimSuffix(value, "\n")
	case file == "driver/unbind" && d.driver == "":
		return fs.ErrNotExist
	case file == "driver/unbind" && c.devices[value] != d:
		return syscall.ENODEV
	case file == "driver/unbind":
		d.driver = ""
	default:
		return syscall.EACCES
	}
	return nil
}

// The method "probe" offers the device to all drivers, in an arbitrary order. It
// is not an error if no driver accepts the device.
func (c *fakeCore) probe(address string) error {
	d := c.devices[address]
	if d == nil {
		return syscall.EINVAL
	}
	for _, driver := range slices.Backward(slices.Sorted(maps.Keys(c.drivers))) {
		if d.driver == "" && !c.shy[address] && c.takes(driver, d) {
			d.driver = driver
		}
	}
	return nil
}

func (c *fakeCore) takes(driver string, d *fakeDevice) bool {
	if d.override != "" {
		return d.override == driver
	}
	return slices.Contains(c.drivers[driver], d.model)
}

func (c *fakeCore) attach(driver, address string) error {
	d := c.devices[address]
	switch {
	case c.drivers[driver] == nil:
		return fs.ErrNotExist
	case d == nil || d.driver != "" || !c.takes(driver, d):
		return syscall.ENODEV
	}
	d.driver = driver
	return nil
}

func (c *fakeCore) state() string {
	var text strings.Builder
	for _, address := range slices.Sorted(maps.Keys(c.devices)) {
		d := c.devices[address]
		fmt.Fprintf(&text, "%s %q %q\n", address, d.driver, d.override)
	}
	return text.String()
}

func mustAddress(s string) Address {
	a, err := ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// The function "cards" returns the binding of the second of two identical cards,
// and of the audio function of the first card.
func cards() Binding {
	card, audio := Model{0x10de, 0x2504}, Model{0x10de, 0x228e}
	return Binding{Functions: []Rebind{
		{Address: mustAddress("0000:0b:00.0"), Model: card, Driver: "nouveau"},
		{Address: mustAddress("0000:0b:00.1"), Model: audio},
		{Address: mustAddress("0000:0a:00.1"), Model: audio, Driver: "snd_hda_intel"},
	}}
}

func TestBindAndReleaseExactFunctions(t *testing.T) {
	t.Parallel()
	c := newFakeCore()
	before := c.state()
	if err := cards().apply(c); err != nil {
		t.Fatal(err)
	}
	const bound = `0000:0a:00.0 "nouveau" ""
0000:0a:00.1 "vfio-pci" "vfio-pci"
0000:0b:00.0 "vfio-pci" "vfio-pci"
0000:0b:00.1 "vfio-pci" "vfio-pci"
`
	if c.state() != bound {
		t.Errorf("bound: %s", c.state())
	}
	writes := len(c.writes)
	if err := cards().apply(c); err != nil || len(c.writes) != writes {
		t.Errorf("applied twice: %v, %q", err, c.writes[writes:])
	}
	for range 2 {
		if err := cards().release(c); err != nil || c.state() != before {
			t.Errorf("released: %v\n%s", err, c.state())
		}
	}
}

func TestBindGivesAllBackWhenOneFails(t *testing.T) {
	t.Parallel()
	const first, last = pciDevices + "/0000:0b:00.0/", pciDevices + "/0000:0a:00.1/"
	for name, breakIt := range map[string]func(*fakeCore){
		"override refused":      func(c *fakeCore) { c.broken[last+"driver_override"] = syscall.EACCES },
		"driver will not leave": func(c *fakeCore) { c.broken[last+"driver/unbind"] = syscall.EBUSY },
		"first will not leave":  func(c *fakeCore) { c.broken[first+"driver/unbind"] = syscall.EBUSY },
		"probe refused":         func(c *fakeCore) { c.broken["bus/pci/drivers_probe"] = syscall.EIO },
		"probe says nothing":    func(c *fakeCore) { c.shy["0000:0a:00.1"] = true },
	} {
		c := newFakeCore()
		before := c.state()
		breakIt(c)
		err := cards().apply(c)
		bind, ok := errors.AsType[*BindError](err)
		if !ok || bind.Step == "" {
			t.Errorf("%s: %v", name, err)
		}
		if name == "override refused" { // the override cannot be restored either, and the error says so
			if !strings.Contains(err.Error(), "not given back") {
				t.Errorf("%s: %v", name, err)
			}
			delete(c.broken, last+"driver_override")
		}
		if c.state() != before {
			t.Errorf("%s: left behind\n%s", name, c.state())
		}
	}
}

func TestBindChecksBeforeItTouchesAnything(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*fakeCore)
		want   error
	}{
		"another model":   {func(c *fakeCore) { c.devices["0000:0a:00.1"].model = "0x10de 0x0000" }, ErrStale},
		"another driver":  {func(c *fakeCore) { c.devices["0000:0a:00.1"].driver = "nvidia" }, ErrStale},
		"gone":            {func(c *fakeCore) { delete(c.devices, "0000:0a:00.1") }, fs.ErrNotExist},
		"off the bus":     {func(c *fakeCore) { c.devices["0000:0a:00.1"].config = strings.Repeat("\xff", 64) }, ErrRefused},
		"no vfio-pci yet": {func(c *fakeCore) { delete(c.drivers, vfioPCI) }, ErrNoVFIO},
	} {
		c := newFakeCore()
		test.change(c)
		if err := cards().apply(c); !errors.Is(err, test.want) || len(c.writes) > 0 {
			t.Errorf("%s: %v, wrote %q", name, err, c.writes)
		}
	}
}

// The vendor and device registers of a virtual function read ffff. Such a
// function is not lost, so it can be bound.
func TestBindVirtualFunction(t *testing.T) {
	t.Parallel()
	c := newFakeCore()
	c.devices["0000:0a:00.1"].config = "\xff\xff\xff\xff\x07\x00\x10\x00"
	if err := cards().apply(c); err != nil {
		t.Error(err)
	}
}

func TestReleaseGoesOnAndSaysWhatFailed(t *testing.T) {
	t.Parallel()
	c := newFakeCore()
	if err := cards().apply(c); err != nil {
		t.Fatal(err)
	}
	delete(c.drivers, "snd_hda_intel") // the module was unloaded meanwhile
	err := cards().release(c)
	bind, ok := errors.AsType[*BindError](err)
	if !ok || bind.Step != "drivers/snd_hda_intel/bind" || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if d := c.devices["0000:0b:00.0"]; d.driver != "nouveau" || d.override != "" {
		t.Errorf("the others were not released: %+v", d)
	}
	c.drivers["snd_hda_intel"] = []string{"0x10de 0x228e"}
	if err := cards().release(c); err != nil || c.devices["0000:0a:00.1"].driver != "snd_hda_intel" {
		t.Errorf("again: %v, %+v", err, c.devices["0000:0a:00.1"])
	}
	c.devices["0000:0a:00.1"].driver = "pci-stub" // somebody else has taken the function
	if err := cards().release(c); !errors.Is(err, ErrStale) {
		t.Errorf("got %v", err)
	}
}

func TestReleaseRestoresTheOverrideBefore(t *testing.T) {
	t.Parallel()
	c := newFakeCore()
	c.devices["0000:0b:00.0"].override = "nouveau"
	b := Binding{Functions: []Rebind{{Address: mustAddress("0000:0b:00.0"), Model: Model{0x10de, 0x2504}, Driver: "nouveau", Override: "nouveau"}}}
	before := c.state()
	if err := b.apply(c); err != nil {
		t.Fatal(err)
	}
	if err := b.release(c); err != nil || c.state() != before {
		t.Errorf("%v\n%s", err, c.state())
	}
}
