package loader

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
)

// A Copy is the plan of a configured copy of an OpenCore image, for one VM.
type Copy struct {
	// Plan holds the changes of the image. It is the zero Plan if the image of
	// an existing VM is missing.
	Plan opencore.Plan
	// From is the file or disk with the image. To is the file on this machine
	// to which the copy is written. It is in the folder of the image, or in the
	// working directory if the image is a disk. To is "" if Volume is "".
	From, To string
	// Volume is the volume on the node that will hold the copy. It is "" if the
	// VM gets no new drive: the VM has the copy already, or keeps another boot
	// loader.
	Volume string
	// Kept holds a finding if an existing VM keeps another boot loader.
	Kept []proxstation.Finding

	mac   profile.MacOS
	first string   // the slot of the drive with the copy, if this drive has to become first in the boot order
	order []string // the VM's boot order
	there bool     // whether the node has the volume already
}

// VMID returns the ID of the VM.
func (c Copy) VMID() int { return c.mac.VM().ID }

// Subject returns the subject of the findings about the image, such as
// "VM 130 OpenCore".
func (c Copy) Subject() string { return fmt.Sprintf("VM %d OpenCore", c.VMID()) }

// serial returns the serial number of a drive that holds a copy. PVE allows 20
// characters (qm.conf manual page).
func serial(mark string) string { return "opencore-" + mark }

// find looks for the drive that holds the copy with this mark. It returns the
// drive's slot, and whether the drive is first in the boot order. The slot is
// "" if the VM does not have the copy.
func find(have map[string]string, mark string) (slot string, first bool) {
	order := qmconf.BootOrder(have)
	for _, name := range append(slices.Clone(order), qmconf.Disks(have)...) {
		if drive, err := storage.ParseDrive(have[name]); err == nil && drive.Get("serial") == serial(mark) {
			return name, len(order) > 0 && order[0] == name
		}
	}
	return "", false
}

// This adds a finding that the VM keeps its boot loader.
func (c *Copy) keep(have map[string]string, why string) {
	drive := "its drives"
	if order := qmconf.BootOrder(have); len(order) > 0 {
		drive = order[0]
	}
	c.Kept = []proxstation.Finding{{ID: "opencore.kept", Severity: proxstation.Info, Subject: c.Subject(),
		Seen: fmt.Sprintf("VM %d starts from %s; %s", c.VMID(), drive, why), Why: "A VM that exists keeps its boot loader.",
		Fix: "To put a configured copy before it, ask for it: replace: true below opencore on the page of homelab, or -replace of examples/macos. The old drive stays behind it, as the way back."}}
}

// VM returns the VM with the copy as its boot loader. The plan of this VM lists
// the changes of the image, and the findings that remain.
func (c Copy) VM() workstation.VM {
	vm := c.mac.VM()
	for i, disk := range vm.Disks {
		if c.Volume != "" && disk.Import == c.Volume {
			vm.Disks[i].Options = maps.Clone(disk.Options)
			vm.Disks[i].Options["serial"] = serial(c.Plan.Mark())
		}
	}
	if c.first != "" {
		others := slices.DeleteFunc(slices.Clone(c.order), func(slot string) bool { return slot == c.first })
		vm.Config["boot"] = "order=" + strings.Join(append([]string{c.first}, others...), ";")
	}
	return vm
}

// With returns facts in which the node has the copy already. Use
// them to make a plan before the copy is uploaded.
func (c Copy) With(facts workstation.Facts) workstation.Facts {
	facts.Pools = slices.Clone(facts.Pools)
	for i, pool := range facts.Pools {
		if c.Volume != "" && !c.there && strings.HasPrefix(c.Volume, pool.Name+":") && pool.Images != nil {
			facts.Pools[i].Images = append(slices.Clone(pool.Images), storage.Volume{ID: c.Volume})
		}
	}
	return facts
}

// Bring writes the copy to the file To and uploads it to the node, as the
// volume that the VM's plan names. It does nothing if the VM gets no new drive,
// or if the node has the volume. If the file To exists, Bring takes it for the
// copy of an earlier call, and uploads it with its made-up identity. The file
// must be an OpenCore image of the copy's size, or Bring returns an error. The
// error is an error of package opencore or of [workstation.Node.Upload].
func (c Copy) Bring(ctx context.Context, node *workstation.Node, progress func(workstation.Event)) error {
	if c.Volume == "" || c.there {
		return nil
	}
	file, err := c.Open()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // the file was only read
	return node.Upload(ctx, c.Volume, file, progress)
}

// Open writes the copy to the file To, as [Copy.Bring] does, and opens the file
// so that the caller can upload it, for example with [cluster.Image]. The copy
// must have a Volume.
//
// [cluster.Image]:
// https://pkg.go.dev/github.com/proxstation/proxstation/workstation/cluster#Image
func (c Copy) Open() (io.ReadSeekCloser, error) {
	if err := opencore.WriteFile(c.From, c.To, c.Plan); err != nil && !errors.Is(err, fs.ErrExist) {
		if path, ok := errors.AsType[*fs.PathError](err); ok && strings.HasPrefix(path.Path, c.To) {
			err = fmt.Errorf("%w; the copy goes into this folder: put the image into one in which you may write", err)
		}
		return nil, err
	}
	file, err := os.Open(c.To)
	if err != nil {
		return nil, fmt.Errorf("loader: %w", err)
	}
	if err := c.check(file); err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// check returns an error if a file is not an OpenCore image of the copy's size.
// An earlier call may have written the file, and something else may have cut it
// off since.
func (c Copy) check(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return fmt.Errorf("loader: %w", err)
	}
	_, err = opencore.Read(file, info.Size())
	if err == nil && info.Size() != c.Plan.Size {
		err = &opencore.ImageError{Found: fmt.Sprintf("a file of %d bytes", info.Size()), Why: fmt.Sprintf("the copy has %d", c.Plan.Size)}
	}
	if err != nil {
		return fmt.Errorf("loader: VM %d: %s is not the configured copy; move this file away, and the next apply writes the copy anew: %w", c.VMID(), printable.Line(c.To), err)
	}
	return nil
}

// String returns the copy's volume with the changes of the image and their
// reasons, one change per line. It shows no identity. It returns "" if the VM
// gets no new drive.
func (c Copy) String() string {
	if c.Volume == "" {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "+ %s: a configured copy of %s (%s)\n", printable.Line(c.Volume), printable.Line(c.From), printable.Line(c.Plan.Image))
	for _, kext := range c.Plan.Replaced {
		fmt.Fprintf(&b, "    - %s %s   # The whole folder is removed: the extension that was given takes its place.\n", printable.Line(kext.Path), printable.Line(kext.Version))
	}
	for _, kext := range c.Plan.Bundles {
		fmt.Fprintf(&b, "    + %s %s\n", printable.Line(kext.Path), printable.Line(kext.Version))
	}
	for _, change := range c.Plan.Changes {
		fmt.Fprintf(&b, "    %s   # %s (%s)\n", change.Change, printable.Line(change.Why), printable.Line(change.ID))
	}
	for _, note := range c.Plan.Notes {
		fmt.Fprintf(&b, "    ! %s\n", printable.Line(note))
	}
	return b.String()
}
