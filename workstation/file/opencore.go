package file

import (
	"errors"
	"regexp"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/profile"
)

// OpenCore is the boot loader of a macOS VM. It is either a volume that is used
// as it is, or an image. From an image, a copy is made that is configured for
// the VM and its card.
type OpenCore struct {
	// Volume is an OpenCore image on the node that is used as it is: a volume of
	// content type import ("local:import/..."), a file of the node, or a disk of
	// the VM. "opencore: VOLUME" means the same.
	Volume string
	// Image is a file with an OpenCore image on the machine where the program
	// runs, or a disk of it below /dev. A configured copy of it becomes the VM's
	// boot loader. The image itself is never changed.
	Image string
	// Kexts holds kernel extensions to put into the copy: folders, or the zip
	// archives of their projects.
	Kexts []string
	// Identity holds the serial numbers of the Mac. Without it, the copy keeps
	// those of the image.
	Identity Identity
	// Storage is the storage for the copy, with content type import; the
	// default is local.
	Storage string
	// Replace puts the copy before the boot loader that an existing VM has, in
	// the boot order. Without Replace, an existing VM keeps its boot loader.
	Replace bool
}

// Identity holds the numbers that differ from Mac to Mac. Set either MadeUp, or
// all four numbers.
type Identity struct {
	// MadeUp makes the numbers up. Before an Apple account is used, look the
	// serial number up on checkcoverage.apple.com: it must be unknown there.
	// "identity: made-up" means the same.
	MadeUp bool
	// Serial refers to the machine's serial number, and MLB to that of its
	// board.
	Serial, MLB Reference
	// UUID refers to the machine's UUID.
	UUID Reference
	// ROM refers to an address of 6 bytes in hexadecimal, on a Mac that of its
	// first network card.
	ROM Reference
}

// A shorthand is a mapping of the page that can be written as a single word.
type shorthand interface {
	// If a single word can replace the mapping, this returns the word and true.
	short() (text string, ok bool)
}

func (o OpenCore) short() (string, bool) {
	return o.Volume, o.Volume != "" && o.Image == "" && !o.configures()
}

// This reports whether the page sets a key that only has an effect on a
// configured copy.
func (o OpenCore) configures() bool {
	return len(o.Kexts) > 0 || o.Identity != Identity{} || o.Storage != "" || o.Replace
}

func (i Identity) short() (string, bool) { return "made-up", i == Identity{MadeUp: true} }

// UnmarshalText implements [encoding.TextUnmarshaler]. The text is the Volume.
func (o *OpenCore) UnmarshalText(text []byte) error {
	*o = OpenCore{Volume: string(text)}
	return nil
}

// errIdentity reports a word other than "made-up". It does not show the word.
var errIdentity = errors.New("want made-up, or the numbers of your own Mac by their keys: serial, mlb, uuid, rom")

// UnmarshalText implements [encoding.TextUnmarshaler].
func (i *Identity) UnmarshalText(text []byte) error {
	if string(text) != "made-up" {
		return errIdentity
	}
	*i = Identity{MadeUp: true}
	return nil
}

// volumeForm matches an image in a storage of PVE, such as
// "local:import/opencore.raw".
var volumeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]*:(import|iso)/`)

// check reports keys of a boot loader that contradict each other or are
// missing.
func (o OpenCore) check(errs *Errors, key string) {
	switch {
	case o.Volume != "" && (o.Image != "" || o.configures()):
		errs.add(key, "want either volume, for an image that is used as it is, or image, for an image of which a copy is configured")
	case o.Image == "" && o.configures():
		errs.add(key, "kexts, identity, storage and replace are for the copy of an image: add %s.image", key)
	case volumeForm.MatchString(o.Image):
		errs.add(key+".image", "PVE's API shows nobody the content of a volume: give the file from which the volume was made, or give the volume as %s.volume to use it as it is", key)
	case o.Volume != "" && !strings.Contains(o.Volume, ":") && !strings.HasPrefix(o.Volume, "/"):
		errs.add(key, "%q is neither a volume (local:import/...) nor a path of the node; to configure a copy of a file, give it as %s.image", o.Volume, key)
	}
	o.Identity.check(errs, key+".identity")
}

func (i Identity) check(errs *Errors, key string) {
	var missing []string
	for _, number := range []struct {
		name  string
		value Reference
	}{{"serial", i.Serial}, {"mlb", i.MLB}, {"uuid", i.UUID}, {"rom", i.ROM}} {
		if number.value == "" {
			missing = append(missing, number.name)
		}
	}
	switch {
	case i.MadeUp && len(missing) < 4:
		errs.add(key, "want either made-up or the four numbers, not both")
	case len(missing) > 0 && len(missing) < 4:
		errs.add(key, "Apple's services compare all four numbers, and some are missing: add %s", strings.Join(missing, ", "))
	}
}

// checkIdentities reports two workstations with the same serial number. Members
// of a set may share a number, because only one of them runs at a time.
func (p Page) checkIdentities(errs *Errors, stations []string) {
	owners := map[Reference]string{}
	for _, name := range stations {
		mac, isMac := p.Workstations[name].(*MacOS)
		if !isMac || mac == nil || mac.OpenCore.Identity.Serial == "" {
			continue
		}
		serial := mac.OpenCore.Identity.Serial
		owner, taken := owners[serial]
		switch set := p.SetOf(name); {
		case !taken:
			owners[serial] = name
		case set == "" || set != p.SetOf(owner):
			errs.add("workstations."+name+".opencore.identity.serial", "%s has this serial number too, and Apple's services refuse two machines with one number: give %s numbers of its own", owner, name)
		}
	}
}

// A Loader is the boot loader of a macOS workstation, if it is a configured
// copy of an image. Source.Plan plans this copy from Mac. Pass the copy to
// [Page.Spec].
type Loader struct {
	// Workstation is the name on the page.
	Workstation string
	Mac         profile.MacOS
	Source      loader.Source
}

// Loaders returns the boot loaders that need a copy of an OpenCore image,
// sorted by the names of their workstations. It does not read the images. If an
// existing VM keeps its boot loader, the numbers of its identity need not be
// known. The error is an [Errors], as for [Page.Spec].
func (p Page) Loaders(facts workstation.Facts, resolve Resolver) ([]Loader, error) {
	c := &conversion{page: p, facts: facts, resolve: resolve, errs: p.check()}
	if err := c.errs.err(); err != nil {
		return nil, err
	}
	var all []Loader
	for _, name := range c.here() {
		c.enter(name, p.Workstations[name])
		if l, wants := c.loader(name); wants {
			all = append(all, l)
		}
	}
	return all, c.errs.err()
}

// loader returns the boot loader of a workstation. ok is false if the
// workstation needs no copy of an image.
func (c *conversion) loader(name string) (l Loader, ok bool) {
	w, isMac := c.page.Workstations[name].(*MacOS)
	if !isMac || w.OpenCore.Image == "" {
		return l, false
	}
	mac := c.macOS(name, w)
	return Loader{Workstation: name, Mac: mac, Source: c.source(w)}, true
}

// Loaders does what [Page.Loaders] does, with line and column in its errors.
func (s *Source) Loaders(facts workstation.Facts, resolve Resolver) ([]Loader, error) {
	loaders, err := s.Page.Loaders(facts, resolve)
	return loaders, s.explain(err)
}

// source returns the image of a boot loader, with the settings and secrets for
// its copy.
func (c *conversion) source(w *MacOS) loader.Source {
	o := w.OpenCore
	s := loader.Source{Image: o.Image, Kexts: o.Kexts, MadeUp: o.Identity.MadeUp, Storage: o.Storage, Replace: o.Replace}
	c.has = c.has && !o.Replace
	for _, number := range []struct {
		key  string
		from Reference
		to   *proxstation.Secret
	}{{"serial", o.Identity.Serial, &s.Identity.Serial}, {"mlb", o.Identity.MLB, &s.Identity.Board}, {"uuid", o.Identity.UUID, &s.Identity.UUID}, {"rom", o.Identity.ROM, &s.Identity.ROM}} {
		*number.to = c.secret("opencore.identity."+number.key, number.from)
		if c.has && number.from != "" && number.to.IsZero() {
			s.Lacks = string(number.from) + " is not known"
		}
	}
	return s
}
