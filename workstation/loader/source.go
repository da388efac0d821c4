package loader

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

// A Source names the files from which a VM's boot loader is made.
type Source struct {
	// Image is a file of this machine with an OpenCore image. On the node it
	// may be a disk, such as "/dev/pve/vm-130-disk-1".
	Image string
	// Kexts holds the paths of kernel extensions to put into the copy: folders
	// or zip archives, as [opencore.ReadBundles] reads them.
	Kexts []string
	// Identity replaces the image's identity. Set all four numbers, or leave it
	// empty.
	Identity opencore.Identity
	// MadeUp makes up an identity. Identity must then be empty.
	MadeUp bool
	// Storage is the storage for the copy, with content type import; the
	// default is "local".
	Storage string
	// Replace changes the boot order of an existing VM: the copy comes first,
	// and the old boot loader follows. Without Replace, an existing VM keeps
	// its boot loader.
	Replace bool
	// Lacks says what is missing in this Source, such as a number of the
	// identity. It is "" if nothing is missing. If something is missing and a
	// VM keeps its boot loader, Plan does not compare that boot loader with the
	// copy.
	Lacks string
}

// ErrSource reports a [Source] from which no boot loader can be made. The error
// is a [SourceError].
var ErrSource = errors.New("no boot loader can be made from the source")

// A SourceError says which field of a [Source] is at fault.
type SourceError struct {
	// VMID is the ID of the VM.
	VMID int
	// Field is "image", "kexts", "kexts[1]", "identity", "identity.serial" or "storage".
	Field string
	// Err is the reason, such as an [opencore.ImageError].
	Err error
}

// Error implements error.
func (e *SourceError) Error() string {
	return printable.Sprintf("loader: VM %d: %s: %s", e.VMID, e.Field, strings.TrimPrefix(e.Err.Error(), "opencore: "))
}

// Unwrap returns the reason.
func (e *SourceError) Unwrap() error { return e.Err }

// Is makes the error match [ErrSource].
func (e *SourceError) Is(target error) bool { return target == ErrSource }

// identityFields maps keys of PlatformInfo to the fields of an identity.
var identityFields = map[string]string{"SystemSerialNumber": "identity.serial", "MLB": "identity.mlb", "SystemUUID": "identity.uuid", "ROM": "identity.rom"}

// Plan plans a configured copy of the image for the VM of a profile. It reads
// the image and the kernel extensions, and writes nothing. It replaces the
// profile's fields OpenCore and Image. The error is a [SourceError].
//
// Without Replace, an existing VM keeps its boot loader, and the image may be
// missing. If the boot loader is not the copy, [Copy.Kept] holds a finding.
func (s Source) Plan(mac profile.MacOS, facts workstation.Facts) (Copy, error) {
	mac.OpenCore, mac.Image = "", opencore.Plan{}
	c := Copy{From: s.Image, mac: mac}
	vm, exists := facts.VMs[c.VMID()]
	if exists && !s.Replace && s.Lacks != "" {
		c.keep(vm.Config, s.Lacks+", so that nobody compared it")
		return c, nil
	}
	mac.OpenCore = s.Image // OpenCore has to find its own drive
	if mac.Stage == profile.MacOffCard {
		mac.Stage = profile.MacInstall // even while the VM is off its card, the copy is made for the card
	}
	plan, err := s.configure(c.VMID(), mac.Machine(vm.Config))
	switch {
	case exists && !s.Replace && errors.Is(err, fs.ErrNotExist):
		gone := s.Image
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			gone = path.Path
		}
		c.keep(vm.Config, gone+" is not here, so that nobody compared the boot loader")
		return c, nil
	case err != nil:
		return Copy{}, err
	}
	c.Plan = plan
	switch slot, first := find(vm.Config, plan.Mark()); {
	case slot != "" && first: // the VM already starts from the copy
		c.mac.Image = plan
		return c, nil
	case exists && !s.Replace:
		c.keep(vm.Config, "it is not the copy of "+s.Image+" that would be made now")
		return c, nil
	case slot != "":
		c.mac.Image, c.first, c.order = plan, slot, qmconf.BootOrder(vm.Config)
		return c, nil
	case exists:
		c.mac = c.mac.BeforeLoader(vm.Config)
	}
	name := opencore.CopyName(s.Image, plan)
	if s.MadeUp { // two VMs may have the same mark but need different made-up numbers, so the name contains the node and the VMID
		name = fmt.Sprintf("%s-%s-%d.raw", strings.TrimSuffix(name, ".raw"), facts.Node, c.VMID())
	}
	c.Volume = s.storage() + ":import/" + name
	c.To = filepath.Join(folderFor(s.Image), name)
	c.mac.OpenCore, c.mac.Image = c.Volume, plan
	return c, s.checkStorage(&c, facts)
}

func (s Source) storage() string {
	if s.Storage == "" {
		return "local"
	}
	return s.Storage
}

// folderFor returns the folder for the copy: the folder of the image, or the
// working directory if the image is a disk below /dev.
func folderFor(image string) string {
	if info, err := os.Stat(image); err == nil && !info.Mode().IsRegular() {
		return "."
	}
	return filepath.Dir(image)
}

// configure reads the image and the kernel extensions, and returns the changes
// of the image for a machine.
func (s Source) configure(vmid int, machine opencore.Machine) (opencore.Plan, error) {
	problem := func(field string, err error) (opencore.Plan, error) {
		if wrong, ok := errors.AsType[*opencore.IdentityError](err); ok {
			if field = identityFields[wrong.Field]; s.MadeUp {
				field = "identity"
			}
		}
		return opencore.Plan{}, &SourceError{VMID: vmid, Field: field, Err: err}
	}
	o := &opencore.Options{Identity: s.Identity}
	if missing := s.missing(); len(missing) > 0 && len(missing) < 4 {
		return opencore.Plan{}, &SourceError{VMID: vmid, Field: "identity", Err: fmt.Errorf("%w: Apple's services compare all four numbers, and some are missing: give %s too", opencore.ErrIdentity, strings.Join(missing, ", "))}
	}
	if s.MadeUp {
		o.MakeUp = rand.Reader
	}
	for i, name := range s.Kexts {
		bundles, err := opencore.ReadBundles(name)
		if err != nil {
			return problem(fmt.Sprintf("kexts[%d]", i), err)
		}
		o.Bundles = append(o.Bundles, bundles...)
	}
	plan, err := opencore.PlanFile(s.Image, machine, o)
	if errors.Is(err, opencore.ErrSameBundle) {
		return problem("kexts", err)
	}
	if err != nil {
		return problem("image", err)
	}
	return plan, nil
}

// This returns the numbers that the identity does not have.
func (s Source) missing() (names []string) {
	for _, number := range []struct {
		name  string
		value proxstation.Secret
	}{{"serial", s.Identity.Serial}, {"mlb", s.Identity.Board}, {"uuid", s.Identity.UUID}, {"rom", s.Identity.ROM}} {
		if number.value.IsZero() {
			names = append(names, number.name)
		}
	}
	return names
}

// checkStorage returns an error if the storage cannot take the copy. It also
// records whether the copy is there already.
func (s Source) checkStorage(c *Copy, facts workstation.Facts) error {
	i := slices.IndexFunc(facts.Pools, func(p storage.Pool) bool { return p.Name == s.storage() })
	why := ""
	switch {
	case i < 0:
		why = fmt.Sprintf("the node has no storage %s, or the login may not see it", s.storage())
	case !facts.Pools[i].Holds("import"):
		why = fmt.Sprintf("storage %s is not for images to import: allow it, on the node: pvesm set %[1]s --content %[2]s,import", s.storage(), strings.Join(facts.Pools[i].Content, ","))
	default:
		at := slices.IndexFunc(facts.Pools[i].Images, func(v storage.Volume) bool { return v.ID == c.Volume })
		if c.there = at >= 0; !c.there {
			return nil
		}
		size := facts.Pools[i].Images[at].Size
		if size == 0 || size >= storage.Size(c.Plan.Size) { // 0 if the size is not known
			return nil
		}
		why = fmt.Sprintf("%s has %d bytes, and the copy has %d: an upload may have broken off; remove it, on the node: pvesm free %[1]s", c.Volume, size, c.Plan.Size)
	}
	return &SourceError{VMID: c.VMID(), Field: "storage", Err: errors.New(why)}
}
