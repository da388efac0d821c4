package iommu

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// The reasons why a binding cannot be applied or released.
var (
	// ErrStale reports a machine that changed after the plan was made.
	ErrStale = errors.New("changed since it was planned")
	// ErrNoVFIO reports that the vfio-pci module is not loaded.
	ErrNoVFIO = errors.New("iommu: vfio-pci is not loaded (modprobe vfio-pci)")
	// ErrNotBound reports that the kernel accepted a request but did not act on
	// it.
	ErrNotBound = errors.New("the kernel left it")
)

// A BindError says at which function and step a binding failed.
type BindError struct {
	Address Address
	Step    string // the file that was written or read
	Err     error
}

// Error names the function, the file and the cause.
func (e *BindError) Error() string {
	return printable.Sprintf("iommu: %s: %s: %v", e.Address, e.Step, e.Err)
}

// Unwrap returns the cause.
func (e *BindError) Unwrap() error { return e.Err }

// Apply hands the functions to vfio-pci. It writes driver_override, unbind and
// drivers_probe below sys, a writable /sys (os.OpenRoot("/sys")), and reads the
// result back. If the handover of a function fails, Apply gives this function
// and the functions before it back to their old drivers. The error also names
// the functions that could not be given back. Functions that are already on
// vfio-pci are not changed, so a second Apply changes nothing. Apply needs
// root. It waits until the old driver lets go of its function. A process that
// uses the card can delay this forever.
func (b Binding) Apply(sys *os.Root) error { return b.apply(rootCore{sys}) }

// Release gives the functions back to the drivers that they had before, the
// last function first, and restores driver_override. It skips functions that
// have already been given back. It continues after an error and joins all
// errors. A function that a running guest holds is released only when the guest
// ends.
func (b Binding) Release(sys *os.Root) error { return b.release(rootCore{sys}) }

// A core is the interface of the kernel's driver core in sysfs. A write to one
// of its files makes the kernel act.
type core interface {
	ReadFile(name string) ([]byte, error) // reads at most a page
	Readlink(name string) (string, error)
	Write(name, value string) error // name is an existing file
}

type rootCore struct{ root *os.Root }

func (c rootCore) Readlink(name string) (string, error) { return c.root.Readlink(name) }

func (c rootCore) ReadFile(name string) ([]byte, error) {
	f, err := c.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64))
}

func (c rootCore) Write(name, value string) error {
	f, err := c.root.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

func (b Binding) apply(c core) error {
	if _, err := c.Readlink("bus/pci/drivers/" + vfioPCI); errors.Is(err, fs.ErrNotExist) {
		return ErrNoVFIO
	}
	for _, r := range b.Functions {
		if err := r.check(c); err != nil {
			return err
		}
	}
	for i, r := range b.Functions {
		if err := r.bind(c); err != nil {
			undone := Binding{Functions: b.Functions[:i+1]}
			if rollback := undone.release(c); rollback != nil {
				return fmt.Errorf("%w; and not given back: %w", err, rollback)
			}
			return err
		}
	}
	return nil
}

func (b Binding) release(c core) error {
	var errs []error
	for _, r := range slices.Backward(b.Functions) {
		errs = append(errs, r.release(c))
	}
	return errors.Join(errs...)
}

func (r Rebind) file(name string) string { return pciDevices + "/" + r.Address.String() + "/" + name }

// The method "fail" wraps an error in a [*BindError]. It returns nil if err is
// nil.
func (r Rebind) fail(step string, err error) error {
	if err == nil {
		return nil
	}
	return &BindError{Address: r.Address, Step: step, Err: reason(err)}
}

// The method "driver" returns the name of the function's current driver, or "".
func (r Rebind) driver(c core) (string, error) {
	target, err := c.Readlink(r.file("driver"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return path.Base(target), err
}

// The method "check" returns an error unless the function has the planned model,
// has its old driver, and answers.
func (r Rebind) check(c core) error {
	for _, id := range []struct {
		file string
		want ID
	}{{"vendor", r.Model.Vendor}, {"device", r.Model.Device}} {
		text, err := c.ReadFile(r.file(id.file))
		if err != nil {
			return r.fail(id.file, err)
		}
		if got := strings.TrimSpace(string(text)); got != "0x"+id.want.String() {
			return r.fail(id.file, fmt.Errorf("%w: is %s, was 0x%v", ErrStale, got, id.want))
		}
	}
	head, err := c.ReadFile(r.file("config"))
	if err != nil {
		return r.fail("config", err)
	}
	if isLost(head) {
		return &RefusedError{Findings: []proxstation.Finding{refusal("iommu.lost", r.Address, "its configuration space reads ffffffff",
			"The device no longer answers on the bus.", "Switch the host off and on again.")}}
	}
	driver, err := r.driver(c)
	if err == nil && driver != vfioPCI && driver != r.Driver {
		err = fmt.Errorf("%w: is %q, was %q", ErrStale, driver, r.Driver)
	}
	return r.fail("driver", err)
}

func (r Rebind) bind(c core) error {
	driver, err := r.driver(c)
	if err != nil || driver == vfioPCI {
		return r.fail("driver", err)
	}
	if err := c.Write(r.file("driver_override"), vfioPCI); err != nil {
		return r.fail("driver_override", err)
	}
	if driver != "" {
		if err := c.Write(r.file("driver/unbind"), r.Address.String()); err != nil {
			return r.fail("driver/unbind", err)
		}
	}
	if err := c.Write("bus/pci/drivers_probe", r.Address.String()); err != nil {
		return r.fail("drivers_probe", err)
	}
	return r.readBack(c, vfioPCI)
}

// readBack checks which driver the function has at the end, and returns an
// error unless it is the wanted driver.
func (r Rebind) readBack(c core, want string) error {
	got, err := r.driver(c)
	if err == nil && got != want {
		err = fmt.Errorf("%w with driver %q, not %q", ErrNotBound, got, want)
	}
	return r.fail("driver", err)
}

// The method "release" restores driver_override first, because the kernel would
// otherwise only try vfio-pci. It then binds the old driver by its name,
// because vfio-pci may have the function's model in its ids.
func (r Rebind) release(c core) error {
	override := r.Override
	if override == "" {
		override = "\n"
	}
	if err := c.Write(r.file("driver_override"), override); err != nil {
		return r.fail("driver_override", err)
	}
	driver, err := r.driver(c)
	if err != nil || driver == r.Driver {
		return r.fail("driver", err)
	}
	if driver != "" && driver != vfioPCI {
		return r.fail("driver", fmt.Errorf("%w: is %q, not %s", ErrStale, driver, vfioPCI))
	}
	if driver == vfioPCI {
		if err := c.Write(r.file("driver/unbind"), r.Address.String()); err != nil {
			return r.fail("driver/unbind", err)
		}
	}
	if r.Driver != "" {
		if err := c.Write("bus/pci/drivers/"+r.Driver+"/bind", r.Address.String()); err != nil {
			return r.fail("drivers/"+r.Driver+"/bind", err)
		}
	}
	return r.readBack(c, r.Driver)
}
