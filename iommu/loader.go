package iommu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/enum"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// A Loader is the boot loader that starts the kernel. Each loader has its own
// file with the kernel arguments (PVE Administration Guide, Host Bootloader).
type Loader uint8

// The boot loaders of PVE. PVE's installer sets up one of them, but puts the
// tools of all of them on the disk.
const (
	LoaderUnknown Loader = iota
	GRUB                 // /etc/default/grub, then update-grub
	SyncedGRUB           // GRUB on partitions that proxmox-boot-tool manages (ZFS with BIOS or Secure Boot)
	SystemdBoot          // /etc/kernel/cmdline, then proxmox-boot-tool refresh
)

// ErrLoaderName reports a text that is not the name of a boot loader.
var ErrLoaderName = errors.New("iommu: unknown boot loader")

var loaders = []string{"unknown", "grub", "grub under proxmox-boot-tool", "systemd-boot under proxmox-boot-tool"}

// String returns "grub", "grub under proxmox-boot-tool", "systemd-boot under
// proxmox-boot-tool" or "unknown".
func (l Loader) String() string { return enum.Name(loaders, l) }

// MarshalText implements [encoding.TextMarshaler].
func (l Loader) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. The error matches
// [ErrLoaderName].
func (l *Loader) UnmarshalText(text []byte) error {
	return enum.Unmarshal(l, loaders, string(text), ErrLoaderName)
}

// LoaderFacts holds facts about the boot loader and its configuration.
type LoaderFacts struct {
	UEFI proxstation.Answer `json:"uefi"` // /sys/firmware/efi exists
	// Info is the name that the loader left in the EFI variable LoaderInfo,
	// such as "systemd-boot 252".
	Info string `json:"info,omitempty"`
	// Synced is Yes if /etc/kernel/proxmox-boot-uuids lists partitions.
	Synced proxstation.Answer `json:"synced"`
	// Stub is the name that a unified kernel image left in the EFI variable
	// StubInfo (systemd-stub(7)), such as "systemd-stub 257". Such an image
	// holds kernel, initramfs and arguments in one signed file.
	Stub string `json:"stub,omitempty"`
	// Dracut says that dracut makes the initramfs, instead of PVE's
	// initramfs-tools. /etc then holds the configuration of dracut, and no
	// configuration of initramfs-tools.
	Dracut bool `json:"dracut,omitempty"`
	// KernelCmdline is the content of /etc/kernel/cmdline. It is nil if there
	// is no such file.
	KernelCmdline *string `json:"kernelCmdline,omitempty"`
	// Menu is the first kernel's command line in /boot/grub/grub.cfg, which
	// update-grub makes from the defaults. It is nil if there is no command
	// line.
	Menu *Cmdline `json:"menu,omitempty"`
	// Defaults holds /etc/default/grub and /etc/default/grub.d/*.cfg in the
	// order in which grub-mkconfig reads them.
	Defaults []HostFile `json:"defaults,omitempty"`
	// Entries holds the boot entries of systemd-boot in /boot/loader/entries
	// and /boot/efi/loader/entries.
	Entries []HostFile `json:"entries,omitempty"`
}

// A HostFile is a file's path from the root of the machine, without a slash in
// front, and its content.
type HostFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// readLoader reads the configuration of the boot loader. It adds a finding for
// each file that exists but cannot be read, because the arguments in that file
// are not known.
func (r *reader) readLoader() LoaderFacts {
	h, l := r.tree, LoaderFacts{}
	read := func(name string) *string {
		data, err := fs.ReadFile(h.Etc, name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				r.unread("/etc/"+name, err)
			}
			return nil
		}
		text := string(data)
		return &text
	}
	if _, err := fs.Stat(h.Sys, "firmware/efi"); err == nil {
		l.UEFI = proxstation.Yes
	} else if _, err := fs.Stat(h.Sys, "firmware"); err == nil {
		l.UEFI = proxstation.No
	}
	_, dracutErr := fs.Stat(h.Etc, "dracut.conf.d")
	_, toolsErr := fs.Stat(h.Etc, "initramfs-tools")
	l.Dracut = dracutErr == nil && errors.Is(toolsErr, fs.ErrNotExist)
	l.Info, l.Stub = loaderVariable(h, "LoaderInfo"), loaderVariable(h, "StubInfo")
	text, ok, err := sysfs.Optional(h.Etc, "kernel/proxmox-boot-uuids")
	_, etcErr := fs.Stat(h.Etc, ".")
	if err == nil && etcErr == nil {
		l.Synced = proxstation.AnswerOf(ok && text != "")
	}
	l.KernelCmdline = read("kernel/cmdline")
	l.Menu = readMenu(h.Boot)
	l.Entries = entries(h.Boot)
	snippets, _ := fs.Glob(h.Etc, "default/grub.d/*.cfg")
	slices.Sort(snippets)
	for _, name := range append([]string{"default/grub"}, snippets...) {
		if text := read(name); text != nil {
			l.Defaults = append(l.Defaults, HostFile{Path: "etc/" + name, Text: *text})
		}
	}
	return l
}

// loaderVariable returns a variable of the boot loader interface
// (systemd.io/BOOT_LOADER_INTERFACE). It returns "" if the variable is not set.
func loaderVariable(h tree, name string) string {
	data, _ := fs.ReadFile(h.Sys, "firmware/efi/efivars/"+name+"-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f")
	return efiText(data)
}

// readMenu returns the text after the kernel's path on the first line that
// begins with "linux".
func readMenu(boot fs.FS) *Cmdline {
	data, err := fs.ReadFile(boot, "grub/grub.cfg")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "linux" {
			continue
		}
		_, args, _ := strings.Cut(line, fields[1])
		c := ParseCmdline(strings.TrimSpace(args))
		return &c
	}
	return nil
}

// efiText decodes an EFI variable of the kernel's efivarfs that holds a
// string: four bytes of attributes, then UTF-16 that ends with a zero.
func efiText(data []byte) string {
	if len(data) < 4 {
		return ""
	}
	var units []uint16
	for data = data[4:]; len(data) >= 2; data = data[2:] {
		if unit := binary.LittleEndian.Uint16(data); unit != 0 {
			units = append(units, unit)
		}
	}
	return string(utf16.Decode(units))
}

// BootLoader decides which boot loader is really in use. It judges by the
// traces that the loader left, not by the installed tools. The second result is
// the evidence, or says why the loader is unknown.
func (f Facts) BootLoader() (Loader, string) {
	grub, systemd := f.traces()
	l := f.Loader
	switch {
	case l.Stub != "":
		return LoaderUnknown, "EFI variable StubInfo: " + l.Stub + ": a unified kernel image holds its own arguments"
	case grub != "" && systemd != "":
		return LoaderUnknown, fmt.Sprintf("contradiction: %s, and %s", grub, systemd)
	case systemd != "" && l.Synced == proxstation.Yes:
		return SystemdBoot, systemd + "; /etc/kernel/proxmox-boot-uuids lists partitions"
	case systemd != "":
		return LoaderUnknown, systemd + ", but not by proxmox-boot-tool: /etc/kernel/proxmox-boot-uuids lists nothing"
	case grub == "" && l.UEFI == proxstation.No:
		grub = "no /sys/firmware/efi: a BIOS machine, which only GRUB boots"
	case grub == "" && f.Running == nil && l.UEFI == proxstation.Unknown:
		return LoaderUnknown, "/proc/cmdline and /sys/firmware were not read: only the host itself has them"
	case grub == "":
		return LoaderUnknown, "neither BOOT_IMAGE= nor initrd=\\EFI\\ on /proc/cmdline, no EFI variable LoaderInfo"
	}
	switch l.Synced {
	case proxstation.Yes:
		return SyncedGRUB, grub + "; /etc/kernel/proxmox-boot-uuids lists partitions"
	case proxstation.No:
		return GRUB, grub + "; no /etc/kernel/proxmox-boot-uuids"
	}
	return LoaderUnknown, grub + ", but /etc/kernel/proxmox-boot-uuids cannot be read"
}

// The method "traces" returns the traces of GRUB and of systemd-boot. GRUB puts
// BOOT_IMAGE= in front of the command line. systemd-boot writes initrd= with a
// path on the EFI system partition, which the kernel's EFI stub reads.
func (f Facts) traces() (grub, systemd string) {
	if f.Running != nil {
		if image := f.Running.Values("BOOT_IMAGE"); len(image) > 0 {
			grub = "/proc/cmdline: BOOT_IMAGE=" + image[0]
		}
		for _, initrd := range f.Running.Values("initrd") {
			if strings.HasPrefix(strings.ToUpper(strings.ReplaceAll(initrd, "/", `\`)), `\EFI\`) {
				systemd = "/proc/cmdline: initrd=" + initrd
			}
		}
	}
	switch info := f.Loader.Info; {
	case strings.HasPrefix(info, "systemd-boot"):
		systemd = "EFI variable LoaderInfo: " + info
	case strings.HasPrefix(info, "GRUB"):
		grub = "EFI variable LoaderInfo: " + info
	}
	return grub, systemd
}

// ErrLoader reports that the boot loader in use, or its configuration, is not
// known.
var ErrLoader = errors.New("iommu: boot loader")

// Configured returns the kernel arguments that are configured for the next
// boot. It leaves out root and the image, which GRUB and the EFI stub add. The
// error matches [ErrLoader].
func (f Facts) Configured() (Cmdline, error) {
	loader, why := f.BootLoader()
	switch loader {
	case LoaderUnknown:
		return Cmdline{}, fmt.Errorf("%w: unknown: %s", ErrLoader, why)
	case SystemdBoot:
		if f.Loader.KernelCmdline == nil {
			return Cmdline{}, f.withoutFile("/"+cmdlineFile, why)
		}
		line, _, _ := strings.Cut(*f.Loader.KernelCmdline, "\n")
		return ParseCmdline(line), nil
	}
	if len(f.Loader.Defaults) == 0 {
		return Cmdline{}, f.withoutFile("/etc/default/grub", why)
	}
	return grubCmdline(f.Loader.Defaults)
}
