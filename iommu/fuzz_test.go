package iommu

import (
	"encoding/binary"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/hosttree"
)

// FuzzMounts parses lines of /proc/self/mountinfo. Each parsed mount has all of
// its parts. A mount that is written and parsed again stays the same.
func FuzzMounts(f *testing.F) {
	f.Add("30 1 252:1 / / rw,relatime shared:1 - ext4 /dev/mapper/pve-root rw")
	f.Add("24 1 0:23 / / rw,relatime shared:1 - zfs rpool/ROOT/pve-1 rw,xattr,posixacl")
	f.Add(`60 30 8:17 / /mnt/a\040b\134040 rw - vfat /dev/sdb1 rw`)
	f.Add("1 3 -\f / ,re atime:1 - zfs r") // "-" is not the number of a device
	f.Fuzz(func(t *testing.T, line string) {
		m, ok := parseMount(line)
		if !ok {
			return
		}
		if m.device == "" || m.kind == "" || strings.Contains(m.pool(), "/") {
			t.Fatalf("%q is the mount %+v", line, m)
		}
		escape := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`, "\n", `\012`).Replace
		if strings.Join(strings.Fields(m.point+m.source), "") != m.point+m.source && strings.ContainsAny(m.point+m.source, "\v\f\r\u0085\u00a0") {
			return // the text has white space that the kernel does not escape
		}
		again := "1 1 " + m.device + " / " + escape(m.point) + " rw - " + m.kind + " " + escape(m.source) + " rw"
		if back, ok := parseMount(again); !ok || back != m {
			t.Fatalf("%q is the mount %+v, and %q is %+v", line, m, again, back)
		}
	})
}

// FuzzMenu parses /boot/grub/grub.cfg. Each result is a command line that is in
// the file.
func FuzzMenu(f *testing.F) {
	f.Add("menuentry 'Proxmox VE GNU/Linux' {\n\tlinux\t/boot/vmlinuz-6.8.12-4-pve root=/dev/mapper/pve-root ro quiet\n}\n")
	f.Add("linux\nlinux x\nlinuxefi /vmlinuz quiet\n")
	f.Fuzz(func(t *testing.T, text string) {
		menu := readMenu(fstest.MapFS{"grub/grub.cfg": &fstest.MapFile{Data: []byte(text)}})
		if menu != nil && !strings.Contains(text, strings.TrimSpace(menu.String())) {
			t.Fatalf("%q has no command line %q", text, menu)
		}
	})
}

// FuzzDMAR parses the firmware's DMAR table. A table without the signature DMAR
// has no flags.
func FuzzDMAR(f *testing.F) {
	table := append([]byte("DMAR"), make([]byte, 44)...)
	table[37] = 1
	f.Add(table)
	f.Add([]byte("DMAR"))
	f.Fuzz(func(t *testing.T, table []byte) {
		r := reader{tree: tree{Sys: fstest.MapFS{"firmware/acpi/tables/DMAR": &fstest.MapFile{Data: table}}}}
		r.acpi()
		if r.ACPI.DMAR != proxstation.Yes {
			t.Fatalf("the table is there, and DMAR is %s", r.ACPI.DMAR)
		}
		if flags := r.ACPI.Flags; flags != nil && (len(table) < 48 || string(table[:4]) != "DMAR" || table[37] != *flags) {
			t.Fatalf("flags %d of %q", *flags, table)
		}
	})
}

// FuzzConfigSpace parses a bridge's configuration space. Parsing must end even
// if the chain of capabilities is a circle.
func FuzzConfigSpace(f *testing.F) {
	space := make([]byte, 4096)
	binary.LittleEndian.PutUint32(space[0x100:], 0x140<<20|1<<16|0x0001)
	binary.LittleEndian.PutUint32(space[0x140:], 0x100<<20|1<<16|0x000d)
	binary.LittleEndian.PutUint32(space[0x144:], 0x1d<<16)
	f.Add(space)
	f.Add(space[:64])
	f.Fuzz(func(t *testing.T, space []byte) {
		d := device{sys: fstest.MapFS{"x/config": &fstest.MapFile{Data: space}}, place: "x"}
		if answer := d.acs(); answer != proxstation.Unknown && len(space) < 0x104 {
			t.Fatalf("%s of %d bytes", answer, len(space))
		}
		if answer := d.lost(); (answer == proxstation.Unknown) != (len(space) < lostBytes) {
			t.Fatalf("lost %s of %d bytes", answer, len(space))
		}
	})
}

// FuzzResource parses the regions of a function.
func FuzzResource(f *testing.F) {
	f.Add("0x0000000084000000 0x0000000087ffffff 0x0000000000040200\n0x0000006000000000 0x00000063ffffffff 0x000000000014220c")
	f.Add("0x0 0xffffffffffffffff 0x200")
	f.Fuzz(func(t *testing.T, text string) {
		for _, bar := range parseResource(text, func(int) []uint64 { return nil }) {
			if bar.Index < 0 || bar.Index > 5 {
				t.Fatalf("%q has BAR %d", text, bar.Index)
			}
		}
	})
}

// FuzzHost reads and judges any host that can be described. Every finding has
// evidence and can be printed.
func FuzzHost(f *testing.F) {
	f.Add("cmdline quiet\nfunction 0000:01:00.0 class=030000 id=10de:2c05 driver=nouveau group=1 bars=0:64M,1:16G:p reset=flr,bus\n")
	f.Add("function 0000:00:01.0 class=060400 id=8086:1901\nblock dm-1 slaves=sda dm/name=pve-root\nblock sda at=0000:00:01.0/ata1\n" +
		"file proc/self/mountinfo\n| 30 1 252:1 / / rw - ext4 /dev/mapper/pve-root rw\n")
	f.Add("cmdline vfio-pci.ids=10de:2c05\nfile etc/modprobe.d/x.conf \"options vfio-pci ids=\\nsoftdep a pre: b\\n\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 4096 {
			return
		}
		described, err := hosttree.Parse([]byte(text))
		if err != nil {
			return
		}
		facts, err := Read(fs.FS(described))
		if err != nil {
			return
		}
		for _, finding := range facts.Check() {
			if finding.ID == "" || finding.Severity == proxstation.Unspecified || finding.Seen == "" || strings.ContainsAny(finding.String(), "\x1b\r") {
				t.Errorf("%q: %+v", text, finding)
			}
		}
		for _, fn := range facts.Functions {
			facts.CheckDevice(fn.Address)
		}
		facts.BootLoader()
	})
}
