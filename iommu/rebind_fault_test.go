package iommu

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// faultyCore is a fakeCore whose n-th call fails.
type faultyCore struct {
	*fakeCore
	n, calls int
}

func (c *faultyCore) call() error {
	if c.calls++; c.calls == c.n {
		return syscall.EIO
	}
	return nil
}

func (c *faultyCore) ReadFile(name string) ([]byte, error) {
	if err := c.call(); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return c.fakeCore.ReadFile(name)
}

func (c *faultyCore) Readlink(name string) (string, error) {
	if err := c.call(); err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return c.fakeCore.Readlink(name)
}

func (c *faultyCore) Write(name, value string) error {
	if err := c.call(); err != nil {
		return &fs.PathError{Op: "write", Path: name, Err: err}
	}
	return c.fakeCore.Write(name, value)
}

// Each call to the kernel fails in turn. After each failure, Apply restores the
// state that it found, and a second Apply succeeds.
func TestApplyWhenAnyCallFails(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		c := &faultyCore{fakeCore: newFakeCore(), n: n}
		before := c.state()
		err := cards().apply(c)
		if c.calls < n {
			if n < 20 {
				t.Errorf("only %d calls were seen", n-1)
			}
			return
		}
		if err == nil {
			continue // the failed call only asked whether vfio-pci is loaded, and it is
		}
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d: %v", n, err)
		}
		if c.state() != before && !strings.Contains(err.Error(), "not given back") {
			t.Errorf("call %d: %v left behind\n%s", n, err, c.state())
		}
		if err := cards().apply(c); err != nil {
			t.Errorf("call %d: again: %v", n, err)
		}
		if err := cards().release(c); err != nil || c.state() != before {
			t.Errorf("call %d: release: %v\n%s", n, err, c.state())
		}
	}
}

// While functions are released, each call fails in turn. The other functions
// are released, the error names the function that was not released, and a
// second Release finishes.
func TestReleaseWhenAnyCallFails(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		c := &faultyCore{fakeCore: newFakeCore()}
		before := c.state()
		if err := cards().apply(c); err != nil {
			t.Fatal(err)
		}
		c.calls, c.n = 0, n
		err := cards().release(c)
		if c.calls < n {
			return
		}
		if _, ok := errors.AsType[*BindError](err); !ok || !errors.Is(err, syscall.EIO) {
			t.Errorf("call %d: %v", n, err)
		}
		still := 0
		for _, d := range c.devices {
			if d.driver == vfioPCI || d.override != "" {
				still++
			}
		}
		if still > 1 {
			t.Errorf("call %d: %d functions were not released", n, still)
		}
		if err := cards().release(c); err != nil || c.state() != before {
			t.Errorf("call %d: again: %v\n%s", n, err, c.state())
		}
	}
}

func TestReleaseOfAFunctionThatIsGone(t *testing.T) {
	t.Parallel()
	c := newFakeCore()
	if err := cards().apply(c); err != nil {
		t.Fatal(err)
	}
	delete(c.devices, "0000:0b:00.1")
	err := cards().release(c)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "0000:0b:00.1") {
		t.Errorf("got %v", err)
	}
	if slices.Contains([]string{c.devices["0000:0b:00.0"].driver, c.devices["0000:0a:00.1"].driver}, vfioPCI) {
		t.Errorf("the others were not released\n%s", c.state())
	}
}

func TestApplyOfFunctionsThatAreThereAlready(t *testing.T) {
	t.Parallel()
	c := newFakeCore()
	c.devices["0000:0b:00.0"].driver = vfioPCI // vfio-pci took the function because of the module's ids
	b := Binding{Functions: []Rebind{{Address: mustAddress("0000:0b:00.0"), Model: Model{0x10de, 0x2504}, Driver: vfioPCI}}}
	if err := b.apply(c); err != nil || len(c.writes) > 0 {
		t.Errorf("%v, wrote %q", err, c.writes)
	}
	if err := b.release(c); err != nil || c.devices["0000:0b:00.0"].driver != vfioPCI {
		t.Errorf("%v, driver %q: it was never ours to give back", err, c.devices["0000:0b:00.0"].driver)
	}
	if want := "= 0000:0b:00.0 10de:2504  vfio-pci -> vfio-pci\n"; b.String() != want {
		t.Errorf("got %s", b)
	}
}
