package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
)

// A loader holds the flags for OpenCore's image.
type loader struct {
	kexts    []string // folders and archives
	identity string   // "keep", "new" or "given"
	replace  bool     // also if the VM has a boot loader
}

// configure reads OpenCore's image if it is a file on this machine, and plans a
// configured copy for the VM. It cannot change other images: PVE's API does not
// return the content of a volume.
func (s *show) configure(mac *profile.MacOS, have map[string]string) error {
	file := mac.OpenCore
	s.image = ""
	if _, err := os.Stat(file); file == "" || errors.Is(err, fs.ErrNotExist) {
		if file != "" {
			s.out.Say("OpenCore's image %s is not a file here, so that nobody looked into it: give its path, or run this on the node.", file)
		}
		return nil
	}
	switch {
	case have != nil && !s.loader.replace:
		s.out.Say("VM %d keeps the boot loader that it has. With -replace a configured copy of the image comes before it.", mac.ID)
		mac.OpenCore = ""
		return nil
	case have != nil:
		*mac = mac.BeforeLoader(have)
	}
	machine := mac.Machine(have)
	options, err := s.loader.options(machine)
	if err != nil {
		return err
	}
	if mac.Image, err = opencore.PlanFile(file, machine, options); err != nil {
		return err
	}
	s.image, mac.OpenCore = file, "local:import/"+opencore.CopyName(file, mac.Image)
	return nil
}

// options returns the options for the copy: the kernel extensions and the
// identity of the flags.
func (l loader) options(machine opencore.Machine) (*opencore.Options, error) {
	o := &opencore.Options{}
	for _, name := range l.kexts {
		bundles, err := opencore.ReadBundles(name)
		if err != nil {
			return nil, err
		}
		o.Bundles = append(o.Bundles, bundles...)
	}
	var err error
	switch l.identity {
	case "given":
		secret := func(name string) proxstation.Secret { return proxstation.NewSecret(os.Getenv(name)) }
		o.Identity = opencore.Identity{Serial: secret("MACOS_SERIAL"), Board: secret("MACOS_MLB"), UUID: secret("MACOS_UUID"), ROM: secret("MACOS_ROM")}
	case "new":
		o.MadeUp = true
		o.Identity, err = opencore.MakeIdentity(gpu.MacModel(machine.Release, machine.Card), "", rand.Reader)
	case "keep", "":
	default:
		err = fmt.Errorf("-identity %s: want keep, new or given", l.identity)
	}
	return o, err
}

// bringLoader writes the configured copy into the directory of the image and
// uploads it to the node.
func (s *show) bringLoader(ctx context.Context, mac profile.MacOS, progress func(workstation.Event)) error {
	to := filepath.Join(filepath.Dir(s.image), strings.TrimPrefix(mac.OpenCore, "local:import/"))
	if err := opencore.WriteFile(s.image, to, mac.Image); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	file, err := os.Open(to)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return s.node.Upload(ctx, mac.OpenCore, file, progress)
}

// with returns facts in which a volume exists already. They are for a plan that
// is shown before the volume is uploaded.
func with(facts workstation.Facts, volume string) workstation.Facts {
	facts.Pools = slices.Clone(facts.Pools)
	for i, pool := range facts.Pools {
		if strings.HasPrefix(volume, pool.Name+":") && pool.Images != nil {
			facts.Pools[i].Images = append(slices.Clone(pool.Images), storage.Volume{ID: volume})
		}
	}
	return facts
}
