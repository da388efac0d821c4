package osxproxmox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/sysfs"
	"github.com/proxstation/proxstation/storage"
)

// ErrNone reports a host without a checkout of OSX-PROXMOX.
var ErrNone = errors.New("no checkout of OSX-PROXMOX")

// A Checkout is a checkout of OSX-PROXMOX
// (github.com/luchina-gabriel/OSX-PROXMOX, all rights reserved) on a host. The
// [MacOS] profile uses only the checkout's images. The profile makes a VM of its
// own, which can have legacy-igd. The profile rewrites no configuration file.
//
// Do not run the checkout's set-up. It overwrites modprobe files, takes all
// graphics cards from the host and restarts the host. To prepare a host, use
// the host plan of package iommu. It can undo its changes.
type Checkout struct {
	// Dir is the directory of the checkout, such as "/root/macos-install".
	Dir string
	// Version is the version of the checkout. OpenCore is the version of its
	// boot loader. Each is empty if the checkout does not name it.
	Version, OpenCore string
	// The field Missing holds the Debian packages that the checkout's menu
	// needs and the host lacks. The profile does not need them.
	Missing []string
	// Images holds the images from which a VM can be made: images in the
	// checkout, and images that the checkout made on the storages.
	Images []Image
	// Findings holds the reasons why the checkout cannot be used as it is, and
	// the changes that the checkout made on the host.
	Findings []proxstation.Finding
}

// An Image is a disk image on the host, for [MacOS].OpenCore or
// [MacOS].Recovery.
type Image struct {
	// Path is the file of the image. Only root@pam with a password may make a
	// disk from it.
	Path string
	// Volume is the image's volume. It is empty if the volume does not have the
	// content type import. The Path then has to be used instead.
	Volume string
	Size   storage.Size
	// Release is the release whose recovery system the image holds. It is
	// gpu.AnyGuest for OpenCore, which boots all releases.
	Release gpu.Guest
}

// Source returns the source for a disk: the volume, or the path if the image
// has no volume.
func (i Image) Source() string {
	if i.Volume != "" {
		return i.Volume
	}
	return i.Path
}

// checkouts holds the directories of checkouts, the most likely first.
// OSX-PROXMOX's installer uses /root/OSX-PROXMOX.
var checkouts = []string{"root/macos-install", "root/macos-install/*", "root/OSX-PROXMOX", "root/*", "opt/*", "usr/local/src/*", "srv/*", "home/*/macos-install", "home/*/*"}

// setupValue matches a line of the script setup that sets a constant.
var setupValue = regexp.MustCompile(`(?m)^(HACKPXVERSION|OCVERSION|SCRIPT_DIR)="?([^"\s]*)"?`)

// The variable "wants" holds the commands that the checkout's menu runs, with
// their packages (setup, and tools/macrecovery).
var wants = [][2]string{{"jq", "jq"}, {"xmlstarlet", "xmlstarlet"}, {"python3", "python3"}, {"xxd", "xxd"}, {"mkfs.msdos", "dosfstools"}, {"wget", "wget"}, {"git", "git"}}

// Read looks for a checkout below a host's root directory. If root is nil, it
// looks on the machine that the program runs on. It first looks in the folder
// macos-install in the home directory of the user root, then in other usual
// places. The error is [ErrNone] or an error of the file system. Read runs no
// program and changes nothing.
//
// Read opens no devices, no pipes and no files of more than 16 MiB, because
// every user with a home directory could put such files where Read looks. Links
// do not lead out of the tree if root comes from [os.Root.FS].
func Read(root fs.FS) (Checkout, error) {
	if root == nil {
		root = os.DirFS("/")
	}
	root = sysfs.Guard(root)
	for _, pattern := range checkouts {
		scripts, err := fs.Glob(root, pattern+"/setup")
		if err != nil {
			return Checkout{}, fmt.Errorf("osxproxmox: %w", err)
		}
		for _, script := range scripts {
			text, err := fs.ReadFile(root, script)
			if errors.Is(err, fs.ErrPermission) {
				return Checkout{}, fmt.Errorf("osxproxmox: %w", err)
			}
			if err != nil { // a pipe, or a file that is too large for a script
				continue
			}
			values := map[string]string{}
			for _, match := range setupValue.FindAllStringSubmatch(string(text), -1) {
				values[match[1]] = match[2]
			}
			if values["HACKPXVERSION"] == "" {
				continue
			}
			o := Checkout{Dir: "/" + path.Dir(script), Version: values["HACKPXVERSION"], OpenCore: values["OCVERSION"]}
			o.look(root, values["SCRIPT_DIR"])
			return o, nil
		}
	}
	return Checkout{}, fmt.Errorf("osxproxmox: %w in root's home, /opt, /srv, /usr/local/src and /home", ErrNone)
}

func (o *Checkout) look(root fs.FS, scriptDir string) {
	for _, want := range wants {
		if !slices.ContainsFunc([]string{"usr/bin", "usr/sbin", "bin", "sbin", "usr/local/bin", "usr/local/sbin"}, func(dir string) bool { return exists(root, dir+"/"+want[0]) }) {
			o.Missing = append(o.Missing, want[1])
		}
	}
	o.images(root, o.Dir+"/EFI", "*.iso", "")
	for _, s := range hostStorages(root) {
		o.images(root, s.Path+"/import", "*.raw", s.Name)
		o.images(root, s.Path+"/template/iso", "*.i[sm][og]", "")
	}
	add := func(id string, severity proxstation.Severity, seen, why, fix string) {
		o.Findings = append(o.Findings, proxstation.Finding{ID: id, Severity: severity, Subject: o.Dir, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	if scriptDir != "" && scriptDir != o.Dir {
		add("osxproxmox.script-dir", proxstation.Warning, "its script says SCRIPT_DIR="+scriptDir, "its menu looks for images and tools there, not in the checkout's real directory",
			"set SCRIPT_DIR in "+o.Dir+"/setup to "+o.Dir+", if you want to use its menu")
	}
	if len(o.Missing) > 0 {
		add("osxproxmox.missing", proxstation.Info, "not installed: "+strings.Join(o.Missing, ", "), "its menu needs them; the macOS profile does not need them",
			"run apt-get install "+strings.Join(o.Missing, " ")+", if you want to use its menu")
	}
	if !slices.ContainsFunc(o.Images, func(i Image) bool { return i.Release == gpu.AnyGuest }) {
		add("osxproxmox.no-opencore", proxstation.Warning, "no OpenCore image in "+o.Dir+"/EFI, nor on a storage", "macOS does not boot without it", "fetch the checkout again, or bring an OpenCore image from another project")
	}
	o.traces(root, add)
}

// The method "traces" adds findings on changes that the checkout's set-up made
// on the host, and on a kernel setting that macOS needs.
func (o *Checkout) traces(root fs.FS, add func(id string, severity proxstation.Severity, seen, why, fix string)) {
	ran := exists(root, "etc/pve/qemu-server/.osx-proxmox")
	if !ran {
		add("osxproxmox.setup", proxstation.Info, "its set-up did not run", "the set-up is not needed, and it removes the host's graphics drivers for good",
			"do not run its first menu; to keep a card for guests: go run ./examples/host -keep ADDRESS -apply")
	}
	for file, why := range map[string]string{
		"etc/modprobe.d/iommu_unsafe_interrupts.conf": "it turns off the protection of interrupt remapping, so a guest with a device can disturb the host",
		"etc/modprobe.d/pve-blacklist.conf":           "it may keep the host from its own graphics cards",
	} {
		text, err := fs.ReadFile(root, file)
		if ran && err == nil && (strings.Contains(string(text), "allow_unsafe_interrupts=1") || strings.Contains(string(text), "blacklist amdgpu")) {
			add("osxproxmox.setup-ran", proxstation.Warning, "/"+file+", as its set-up writes it", why, "remove the lines that this host does not need, and keep cards for guests with go run ./examples/host -keep ADDRESS -apply")
		}
	}
	slices.SortStableFunc(o.Findings, func(a, b proxstation.Finding) int { return strings.Compare(a.ID+a.Seen, b.ID+b.Seen) })
	if value, err := fs.ReadFile(root, "sys/module/kvm/parameters/ignore_msrs"); err == nil && strings.TrimSpace(string(value)) == "N" {
		add("macos.ignore-msrs", proxstation.Warning, "/sys/module/kvm/parameters/ignore_msrs: N", "macOS reads registers that KVM does not have, and restarts again and again",
			`echo Y > /sys/module/kvm/parameters/ignore_msrs, and "options kvm ignore_msrs=Y report_ignored_msrs=0" in /etc/modprobe.d for the next start`)
	}
}

// The method "images" adds the images in a directory whose names match a
// pattern. If "pool" is not empty, the directory belongs to this storage, and
// each image gets the ID of its volume.
func (o *Checkout) images(root fs.FS, dir, pattern, pool string) {
	dir = strings.TrimPrefix(path.Clean(dir), "/")
	entries, _ := fs.ReadDir(root, dir) // a missing directory has no images
	for _, entry := range entries {
		if matches, _ := path.Match(pattern, entry.Name()); !matches { // all patterns are well-formed
			continue
		}
		name := dir + "/" + entry.Name()
		info, err := fs.Stat(root, name)
		release, known := imageOf(entry.Name())
		if err != nil || !known || !info.Mode().IsRegular() || info.Size() == 0 {
			continue
		}
		image := Image{Path: "/" + name, Size: storage.Size(info.Size()), Release: release}
		if pool != "" {
			image.Volume = pool + ":import/" + entry.Name()
		}
		o.Images = append(o.Images, image)
	}
}

// imageOf returns the release of an image, which it recognizes by the file
// name: "opencore-osx-proxmox-vm.iso", "recovery-high sierra.iso".
func imageOf(name string) (release gpu.Guest, known bool) {
	stem := strings.ToLower(strings.TrimSuffix(name, path.Ext(name)))
	if strings.HasPrefix(stem, "opencore") {
		return gpu.AnyGuest, true
	}
	what, recovers := strings.CutPrefix(stem, "recovery-")
	for release := gpu.MacOSHighSierra; recovers && release <= gpu.MacOSTahoe; release++ {
		if strings.ReplaceAll(what, "-", " ") == strings.ToLower(strings.TrimPrefix(release.String(), "macOS ")) {
			return release, true
		}
	}
	return gpu.AnyGuest, false
}

// hostStorages returns those storages of the host that are directories.
func hostStorages(root fs.FS) []storage.Storage {
	text, err := fs.ReadFile(root, "etc/pve/storage.cfg")
	if err != nil {
		return []storage.Storage{{Name: "local", Path: "/var/lib/vz"}}
	}
	return slices.DeleteFunc(storage.ParseConfig(string(text)), func(s storage.Storage) bool { return s.Path == "" })
}

func exists(root fs.FS, name string) bool {
	_, err := fs.Stat(root, name)
	return err == nil
}
