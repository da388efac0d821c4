package osxproxmox_test

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation/osxproxmox"
	"github.com/proxstation/proxstation/workstation/profile"
)

const osxSetup = "#!/bin/bash\nSCRIPT_DIR=\"/root/OSX-PROXMOX\"\nHACKPXVERSION=\"2025.07.23\"\nOCVERSION=\"1.0.4\"\n"

// osxHost returns the files of a host: a checkout, all commands that the
// checkout needs, and the files in the parameter "more".
func osxHost(dir string, more map[string]string) fstest.MapFS {
	host := fstest.MapFS{
		dir + "/setup":                            {Data: []byte(osxSetup)},
		dir + "/EFI/opencore-osx-proxmox-vm.iso":  {Data: make([]byte, 96)},
		"etc/pve/storage.cfg":                     {Data: []byte("dir: local\n\tpath /var/lib/vz\n\tcontent iso,import\n\nlvmthin: local-lvm\n\tvgname pve\n\ndir: gone\n\tdisable\n\tpath /mnt/gone\n")},
		"sys/module/kvm/parameters/ignore_msrs":   {Data: []byte("Y\n")},
		"mnt/gone/template/iso/recovery-old.iso":  {Data: []byte("x")},
		"root/other/setup":                        {Data: []byte("echo an installer of something else")},
		"var/lib/vz/template/iso/debian.iso":      {Data: []byte("x")},
		"var/lib/vz/template/iso/opencore-un.txt": {Data: []byte("x")},
	}
	for _, command := range []string{"jq", "xmlstarlet", "python3", "xxd", "wget", "git"} {
		host["usr/bin/"+command] = &fstest.MapFile{Mode: 0o755}
	}
	host["usr/sbin/mkfs.msdos"] = &fstest.MapFile{Mode: 0o755}
	for name, text := range more {
		host[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return host
}

func TestRead(t *testing.T) {
	t.Parallel()
	const dir = "root/macos-install"
	tests := map[string]struct {
		host     fstest.MapFS
		dir      string
		missing  string
		images   string // sources and sizes of the images
		findings string // the IDs of the findings
	}{
		"in macos-install":            {osxHost(dir, nil), "/root/macos-install", "", "/root/macos-install/EFI/opencore-osx-proxmox-vm.iso 96", "osxproxmox.script-dir osxproxmox.setup"},
		"where its installer puts it": {osxHost("root/OSX-PROXMOX", nil), "/root/OSX-PROXMOX", "", "/root/OSX-PROXMOX/EFI/opencore-osx-proxmox-vm.iso 96", "osxproxmox.setup"},
		"two of them": {osxHost("root/OSX-PROXMOX", map[string]string{dir + "/OSX-PROXMOX/setup": osxSetup}), "/root/macos-install/OSX-PROXMOX", "", "",
			"osxproxmox.no-opencore osxproxmox.script-dir osxproxmox.setup"},
		"somebody's home": {osxHost("home/me/OSX-PROXMOX", nil), "/home/me/OSX-PROXMOX", "", "/home/me/OSX-PROXMOX/EFI/opencore-osx-proxmox-vm.iso 96", "osxproxmox.script-dir osxproxmox.setup"},
		"images on storages": {osxHost(dir, map[string]string{"var/lib/vz/template/iso/recovery-high sierra.iso": "1234", "var/lib/vz/template/iso/opencore-osx-proxmox-vm.iso": "12",
			"var/lib/vz/import/recovery-sequoia.raw": "12345678", "var/lib/vz/template/iso/recovery-tahoe.iso": "", "var/lib/vz/template/iso/recovery-leopard.iso": "x"}), "/root/macos-install", "",
			"/root/macos-install/EFI/opencore-osx-proxmox-vm.iso 96, local:import/recovery-sequoia.raw 8 macOS Sequoia, /var/lib/vz/template/iso/opencore-osx-proxmox-vm.iso 2, " +
				"/var/lib/vz/template/iso/recovery-high sierra.iso 4 macOS High Sierra", "osxproxmox.script-dir osxproxmox.setup"},
		"nothing installed": {lacking(osxHost(dir, nil), "usr"), "/root/macos-install", "jq xmlstarlet python3 xxd dosfstools wget git", "/root/macos-install/EFI/opencore-osx-proxmox-vm.iso 96",
			"osxproxmox.missing osxproxmox.script-dir osxproxmox.setup"},
		"after its set-up": {osxHost("root/OSX-PROXMOX", map[string]string{"etc/pve/qemu-server/.osx-proxmox": "", "etc/modprobe.d/iommu_unsafe_interrupts.conf": "options vfio_iommu_type1 allow_unsafe_interrupts=1\n",
			"etc/modprobe.d/pve-blacklist.conf": "blacklist nouveau\nblacklist amdgpu\n", "sys/module/kvm/parameters/ignore_msrs": "N\n"}), "/root/OSX-PROXMOX", "", "/root/OSX-PROXMOX/EFI/opencore-osx-proxmox-vm.iso 96",
			"osxproxmox.setup-ran osxproxmox.setup-ran macos.ignore-msrs"},
		"without a storage.cfg": {lacking(osxHost(dir, map[string]string{"var/lib/vz/import/recovery-big-sur.raw": "x"}), "etc"), "/root/macos-install", "",
			"/root/macos-install/EFI/opencore-osx-proxmox-vm.iso 96, local:import/recovery-big-sur.raw 1 macOS Big Sur", "osxproxmox.script-dir osxproxmox.setup"},
	}
	for name, test := range tests {
		o, err := osxproxmox.Read(test.host)
		if err != nil || o.Dir != test.dir || o.Version != "2025.07.23" || o.OpenCore != "1.0.4" || strings.Join(o.Missing, " ") != test.missing {
			t.Errorf("%s: %s, version %s, OpenCore %s, missing %s, %v", name, o.Dir, o.Version, o.OpenCore, o.Missing, err)
		}
		var images, findings []string
		for _, i := range o.Images {
			text := fmt.Sprintf("%s %d", i.Source(), int64(i.Size))
			if i.Release != gpu.AnyGuest {
				text += " " + i.Release.String()
			}
			images = append(images, text)
		}
		for _, f := range o.Findings {
			findings = append(findings, f.ID)
		}
		if strings.Join(images, ", ") != test.images || strings.Join(findings, " ") != test.findings {
			t.Errorf("%s: images\n%s\nwant\n%s\nfindings %s, want %s", name, strings.Join(images, ", "), test.images, findings, test.findings)
		}
	}
	if _, err := osxproxmox.Read(fstest.MapFS{"root/other/setup": {Data: []byte("x")}}); !errors.Is(err, osxproxmox.ErrNone) {
		t.Errorf("nowhere: %v", err)
	}
	if _, err := osxproxmox.Read(denied{osxHost(dir, nil)}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("where it may not be read: %v", err)
	}
}

func lacking(host fstest.MapFS, dir string) fstest.MapFS {
	maps.DeleteFunc(host, func(name string, _ *fstest.MapFile) bool { return strings.HasPrefix(name, dir+"/") })
	return host
}

// denied is a host whose set-up scripts can be listed but not read.
type denied struct{ fstest.MapFS }

func (d denied) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, "/setup") {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

// Users with a home directory may put endless files there, and the author of a
// captured tree may name any path for a storage. The test checks that Read
// still returns.
func TestReadOfAHostileTree(t *testing.T) {
	t.Parallel()
	const dir = "home/me/OSX-PROXMOX"
	for name, setup := range map[string]*fstest.MapFile{
		"a pipe":         {Mode: fs.ModeNamedPipe, Data: []byte(osxSetup)},
		"a device":       {Mode: fs.ModeDevice, Data: []byte(osxSetup)},
		"a large file":   {Data: append([]byte(osxSetup), make([]byte, 16<<20)...)},
		"a directory":    {Mode: fs.ModeDir},
		"something else": {Data: []byte("HACKPXVERSION=\n")},
	} {
		host := osxHost(dir, nil)
		host[dir+"/setup"] = setup
		if o, err := osxproxmox.Read(host); !errors.Is(err, osxproxmox.ErrNone) {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
	host := osxHost(dir, map[string]string{"etc/pve/storage.cfg": "dir: any\n\tpath /*/*/*\n\ndir: out\n\tpath /../..\n\ndir: odd\n\tpath /srv/[a\n",
		"srv/[a/import/recovery-sequoia.raw": "12", "srv/b/c/import/recovery-sequoia.raw": "123"})
	host["srv/[a/import/recovery-tahoe.raw"] = &fstest.MapFile{Mode: fs.ModeDevice, Data: []byte("x")}
	o, err := osxproxmox.Read(host)
	if err != nil || len(o.Images) != 2 || o.Images[1].Source() != "odd:import/recovery-sequoia.raw" {
		t.Errorf("%+v, %v", o.Images, err)
	}
}

func TestReadOfThisMachine(t *testing.T) {
	t.Parallel()
	if o, err := osxproxmox.Read(nil); err != nil && !errors.Is(err, osxproxmox.ErrNone) && !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%+v, %v", o, err)
	}
}

// A VM is made from the images on the host, without copies of them.
func ExampleRead() {
	host := osxHost("root/macos-install", map[string]string{"var/lib/vz/template/iso/recovery-sequoia.iso": "a recovery system"}) // os.DirFS("/")
	o, err := osxproxmox.Read(host)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(o.Dir, o.Version, "with OpenCore", o.OpenCore)
	mac := profile.MacOS{OSK: proxstation.NewSecret(strings.Repeat("x", 64))}
	for _, image := range slices.Backward(o.Images) {
		if image.Release == gpu.AnyGuest {
			mac.OpenCore = image.Source()
		} else {
			mac.Release, mac.Recovery = image.Release, image.Source()
		}
	}
	fmt.Println(mac.OpenCore)
	fmt.Println(mac.Recovery)
	// Output:
	// /root/macos-install 2025.07.23 with OpenCore 1.0.4
	// /root/macos-install/EFI/opencore-osx-proxmox-vm.iso
	// /var/lib/vz/template/iso/recovery-sequoia.iso
}
