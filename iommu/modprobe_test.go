package iommu_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// On the host two-identical-cards, the card at 0000:0a:00 and the identical
// card at 0000:0b:00 are on nouveau and snd_hda_intel. If a line of modprobe.d
// should change this but has no effect, a finding says why.
func TestModprobeLinesInVain(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text     string
		id       string // "" if there is no finding of these kinds
		why, fix string
	}{
		"right":                             {"options vfio-pci ids=10de:2504,10de:228e\nsoftdep nouveau pre: vfio-pci\n", "", "", ""},
		"an indented comment":               {"  # options vfio-pci\n; vfio\n// vfio\n", "", "", ""},
		"a word of another case":            {"Options vfio-pci ids=10de:2504\n", "iommu.modprobe-ignored", "ignores them", "options vfio-pci ids=10de:2504"},
		"a letter is missing":               {"option vfio-pci ids=10de:2504\n", "iommu.modprobe-ignored", "ignores them", "options vfio-pci ids=10de:2504"},
		"no word":                           {"vfio-pci ids=10de:2504\n", "iommu.modprobe-ignored", "", "options vfio-pci ids=10de:2504"},
		"only the ids":                      {"ids=10de:2504\n", "iommu.modprobe-ignored", "", "options vfio-pci ids=10de:2504"},
		"an equals sign":                    {"blacklist=nouveau\n", "iommu.modprobe-ignored", "", "blacklist nouveau"},
		"a dot":                             {"options vfio-pci.ids=10de:2504\n", "iommu.modprobe-ignored", "", "options vfio-pci ids=10de:2504"},
		"a byte order mark":                 {"\ufeffblacklist nouveau\n", "iommu.modprobe-ignored", "byte order mark", "blacklist nouveau"},
		"a comment goes on":                 {"# the card \\\noptions vfio-pci ids=10de:2504\n", "iommu.modprobe-ignored", "ends in a backslash", "line 2"},
		"Windows' ends of lines":            {"blacklist nouveau\r\n", "iommu.modprobe-ignored", "carriage return", "blacklist nouveau"},
		"and of options, which are well":    {"options vfio-pci ids=10de:2504\r\n", "", "", ""},
		"two names":                         {"blacklist nouveau nvidia\n", "iommu.modprobe-ignored", "takes one name", "nvidia"},
		"a star":                            {"blacklist nvidia*\n", "iommu.modprobe-ignored", "letter by letter", "blacklist nvidia"},
		"a misspelt driver":                 {"blacklist noveau\n", "iommu.modprobe-ignored", "no module is called noveau", "blacklist nouveau"},
		"a misspelt vfio-pci":               {"options vfio-pcie ids=10de:2504\n", "iommu.modprobe-ignored", "no module is called", "options vfio-pci ids=10de:2504"},
		"a module of another kind":          {"blacklist radeonfb\nblacklist pcspkr\noptions zfs zfs_arc_max=1\n", "", "", ""},
		"a softdep without a colon":         {"softdep nouveau pre vfio-pci\n", "iommu.modprobe-ignored", "must be a separate word", "softdep nouveau pre: vfio-pci"},
		"a softdep without a blank":         {"softdep nouveau pre:vfio-pci\n", "iommu.modprobe-ignored", "must be a separate word", "softdep nouveau pre: vfio-pci"},
		"a softdep on something else":       {"softdep nouveau pre: vfio-pcie\n", "iommu.modprobe-ignored", "no module is called", "softdep nouveau pre: vfio-pci"},
		"a softdep the wrong way round":     {"softdep vfio-pci pre: nouveau\n", "iommu.modprobe-ignored", "wrong order", "softdep nouveau pre: vfio-pci"},
		"a second softdep":                  {"softdep nouveau pre: drm\nsoftdep nouveau pre: vfio-pci\n", "iommu.modprobe-ignored", "takes the first", "line 2"},
		"a softdep switches an install off": {"softdep nouveau pre: vfio-pci\ninstall nouveau /bin/false\n", "iommu.modprobe-ignored", "ignores its install lines", "blacklist nouveau"},
		"an unknown parameter":              {"options vfio-pci id=10de:2504\n", "iommu.modprobe-ignored", `no parameter "id"`, "ids=10de:2504"},
		"ids of another module":             {"options vfio ids=10de:2504\n", "iommu.modprobe-ignored", "no parameter", "options vfio-pci ids=10de:2504"},
		"ids of the core":                   {"options vfio_pci_core ids=10de:2504\n", "iommu.modprobe-ignored", "no parameter", "options vfio-pci ids=10de:2504"},
		"another":                           {"options vfio-pci disable_idled3=1\n", "iommu.modprobe-ignored", "no parameter", "disable_idle_d3=1"},
		"a blank after the comma":           {"options vfio-pci ids=10de:2504, 10de:228e\n", "iommu.ids-bad", "without blanks", "ids=10de:228e,10de:2504"},
		"a comma for the colon":             {"options vfio-pci ids=10de,2504\n", "iommu.ids-bad", "vendor:device", "lspci -nn"},
		"a dash for the colon":              {"options vfio-pci ids=10de-2504\n", "iommu.ids-bad", "vendor:device", "ids=10de:2504"},
		"a semicolon":                       {"options vfio-pci ids=10de:2504;10de:228e\n", "iommu.ids-bad", "", "ids=10de:228e,10de:2504"},
		"an address":                        {"options vfio-pci ids=0a:00.0\n", "iommu.ids-bad", "", ""},
		"a model that nobody has":           {"options vfio-pci ids=10de:2505\n", "iommu.ids-nobody", "10de:2505", "lspci -nn"},
		"two lists":                         {"options vfio-pci ids=10de:2504\noptions vfio-pci ids=10de:228e\n", "iommu.ids-lost", "the last list", "ids=10de:228e,10de:2504"},
		"no value":                          {"options vfio-pci ids = 10de:2504\n", "iommu.vfio-forbidden", "refuses to load", "options vfio-pci ids=10de:2504"},
		"never loaded":                      {"install vfio-pci /bin/false\n", "iommu.vfio-forbidden", "never loaded", "Remove line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := read(t, "two-identical-cards", "file etc/modprobe.d/vfio.conf "+strconv.Quote(test.text))
			found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool {
				return !strings.HasPrefix(f.ID, "iommu.modprobe-") && !strings.HasPrefix(f.ID, "iommu.ids-") && f.ID != "iommu.vfio-forbidden"
			})
			if test.id == "" {
				if len(found) > 0 {
					t.Errorf("found %v", found)
				}
				return
			}
			i := slices.IndexFunc(found, func(f proxstation.Finding) bool { return f.ID == test.id })
			if i < 0 {
				t.Fatalf("no %s among %v", test.id, found)
			}
			if test.id == "iommu.vfio-forbidden" && len(found) > 1 {
				t.Errorf("one cause, and several findings: %v", found)
			}
			if f := found[i]; !strings.Contains(f.Why, test.why) || !strings.Contains(f.Fix, test.fix) || !strings.Contains(f.Seen, "/etc/modprobe.d/vfio.conf line") {
				t.Errorf("%v", f)
			}
		})
	}
}

func TestModprobeFilesAndDirectories(t *testing.T) {
	t.Parallel()
	const ids = ` "options vfio-pci ids=10de:2505\n"`
	for name, test := range map[string]struct {
		lines []string
		want  string
	}{
		"a name without its end":         {[]string{"file etc/modprobe.d/vfio" + ids}, "iommu.modprobe-unread"},
		"a name with another end":        {[]string{"file etc/modprobe.d/vfio.conf.txt" + ids}, "iommu.modprobe-unread"},
		"a backup copy":                  {[]string{"file etc/modprobe.d/vfio.conf.bak" + ids, "file etc/modprobe.d/.vfio.conf" + ids, "file etc/modprobe.d/vfio.conf.dpkg-old" + ids}, ""},
		"the system's own directory":     {[]string{"file usr/lib/modprobe.d/vfio.conf" + ids}, "iommu.ids-nobody"},
		"a file of /etc hides the other": {[]string{"file usr/lib/modprobe.d/vfio.conf" + ids, `file etc/modprobe.d/vfio.conf "\n"`}, ""},
		"the run-time directory":         {[]string{"file run/modprobe.d/vfio.conf" + ids}, "iommu.ids-nobody"},
		"the kernel's arguments win": {[]string{"file etc/modprobe.d/vfio.conf" + ids,
			"cmdline BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro quiet vfio-pci.ids=10de:2504"}, "iommu.ids-lost"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := beginning(read(t, "two-identical-cards", test.lines...).Check(), "iommu.modprobe-", "iommu.ids-")
			if got != test.want {
				t.Errorf("found %q, want %q", got, test.want)
			}
		})
	}
}

// Debian's kmod brings lines about modules that this kernel may lack. A finding
// about a distribution's file is only wanted if the line concerns vfio or a card
// that is kept for guests. It never corrects the name of a real module.
func TestModprobeOfTheDistribution(t *testing.T) {
	t.Parallel()
	const aliases = "options snd-pcsp index=-2\nsoftdep uhci-hcd pre: ehci-hcd\nsoftdep ohci-hcd pre: ehci-hcd\n"
	kept := "# Written by proxstation: keeps these PCI functions for guests. Do not edit.\n" +
		"# function 0000:0a:00.0 10de:2504 nouveau\noptions vfio-pci ids=10de:2504\nsoftdep nouveau pre: vfio-pci\n"
	for name, test := range map[string]struct {
		file, text, kept string
		fix              string // "" if there is no finding
	}{
		"Debian's aliases":               {"usr/lib/modprobe.d/aliases.conf", aliases, "", ""},
		"Debian's aliases before usr":    {"lib/modprobe.d/aliases.conf", aliases, "", ""},
		"the same lines of the user":     {"etc/modprobe.d/usb.conf", aliases, "", ""},
		"real modules of the user":       {"etc/modprobe.d/usb.conf", "blacklist sdhci_pci\nblacklist nvmet\nblacklist ehci-pci\nsoftdep vfio_ccw pre: vfio\n", "", ""},
		"a typing error of the user":     {"etc/modprobe.d/usb.conf", "softdep xhci-hdc pre: ehci-hcd\n", "", "softdep xhci_hcd pre: ehci-hcd"},
		"a typing error of Debian":       {"usr/lib/modprobe.d/x.conf", "blacklist noveau\n", "", ""},
		"a kept card's module":           {"usr/lib/modprobe.d/x.conf", "blacklist noveau\n", kept, "Run cp /usr/lib/modprobe.d/x.conf /etc/modprobe.d/x.conf. Then write line 1 of /etc/modprobe.d/x.conf as \"blacklist nouveau\""},
		"a kept card and another module": {"usr/lib/modprobe.d/x.conf", "blacklist amdgpuu\n" + aliases, kept, ""},
		"vfio in the distribution":       {"usr/lib/modprobe.d/x.conf", "options vfio-pci id=10de:2504\n", "", "Then write line 1 of /etc/modprobe.d/x.conf as"},
		"vfio misspelt":                  {"usr/lib/modprobe.d/x.conf", "options vifo-pci ids=10de:2504\n", "", "options vfio-pci ids=10de:2504"},
	} {
		facts := iommu.Facts{Modprobe: []iommu.HostFile{{Path: test.file, Text: test.text}}}
		if test.kept != "" {
			facts.Modprobe = append(facts.Modprobe, iommu.HostFile{Path: "etc/modprobe.d/00-proxstation.conf", Text: test.kept})
			if len(facts.Kept()) != 1 {
				t.Fatalf("%s: no function is kept", name)
			}
		}
		found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.modprobe-ignored" })
		if len(found) != min(len(test.fix), 1) || test.fix != "" && !strings.Contains(found[0].Fix, test.fix) {
			t.Errorf("%s: %v, want %q", name, found, test.fix)
		}
	}
}

// The function "beginning" returns the finding IDs that begin with one of the
// prefixes.
func beginning(findings []proxstation.Finding, prefixes ...string) string {
	var got []string
	for _, f := range findings {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.ID, p) }) {
			got = append(got, f.ID)
		}
	}
	return strings.Join(got, " ")
}

func TestDriverFirst(t *testing.T) {
	t.Parallel()
	const vfio = "options vfio-pci ids=10de:2504,10de:228e\n"
	for name, test := range map[string]struct{ text, why, fix string }{
		"no order":          {vfio, "ids alone do not decide", `add "softdep snd_hda_intel pre: vfio-pci" to /etc/modprobe.d/vfio.conf`},
		"an order that is":  {vfio + "softdep nouveau pre: vfio-pci\nsoftdep snd_hda_intel pre: vfio-pci\n", "not in force yet", "update-initramfs -u -k all"},
		"another first":     {"softdep nouveau pre: drm\n" + vfio + "softdep nouveau pre: vfio-pci\n", "ids alone", `Remove "softdep nouveau pre: drm"`},
		"one that lacks it": {"softdep nouveau pre: drm\n" + vfio, "ids alone", `as "softdep nouveau pre: vfio-pci drm"`},
		"blacklisted":       {vfio + "blacklist nouveau\nsoftdep snd_hda_intel pre: vfio-pci\n", "only prevents loading it for the device", "install nouveau /bin/false"},
	} {
		facts := read(t, "two-identical-cards", "file etc/modprobe.d/vfio.conf "+strconv.Quote(test.text))
		found := slices.DeleteFunc(facts.CheckDevice(address(t, "0000:0b:00.0")), func(f proxstation.Finding) bool { return f.ID != "iommu.driver-first" })
		if len(found) != 1 || !strings.Contains(found[0].Why, test.why) || !strings.Contains(found[0].Fix, test.fix) {
			t.Errorf("%s: %v", name, found)
		}
	}
}

// If lines of other authors name the card, the plan adds the missing lines. The
// plan is never empty while the card has another driver.
func TestPrepareAroundOthersLines(t *testing.T) {
	t.Parallel()
	const vfio = "options vfio-pci ids=10de:2504,10de:228e\n"
	card := addresses(t, "0000:0b:00.0", "0000:0b:00.1")
	allow := &iommu.PrepareOptions{Allow: []iommu.UseKind{iommu.UseConsole}}
	for name, test := range map[string]struct {
		text    string
		want    []string // lines that the plan must have
		refused string   // the ID and the line of the refusal; "" if want holds
	}{
		"ids without an order":  {vfio, []string{"+# the ids are in /etc/modprobe.d/vfio.conf", "+softdep nouveau pre: vfio-pci", "+softdep snd_hda_intel pre: vfio-pci", "+vfio-pci\n", "update-initramfs"}, ""},
		"all is there":          {vfio + "softdep nouveau pre: vfio-pci\nsoftdep snd_hda_intel pre: vfio-pci\n", []string{"$ update-initramfs -u -k all\nrestart the host: lines of modprobe.d are not in force yet\n"}, ""},
		"lines that do nothing": {"option vfio-pci ids=10de:2504\n", []string{"+install vfio-pci ", "+softdep nouveau pre: vfio-pci"}, ""},
		"one id is lost":        {"options vfio-pci ids=10de:2504, 10de:228e\n", nil, "iommu.foreign-ids"},
		"a list that is lost":   {"options vfio-pci ids=10de:2504,10de:228e\noptions vfio-pci ids=8086:1234\n", nil, "iommu.foreign-ids"},
		"never loaded":          {"install vfio-pci /bin/false\n", nil, "iommu.foreign-ids"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			facts := read(t, "two-identical-cards", "file etc/modprobe.d/vfio.conf "+strconv.Quote(test.text))
			plan, err := facts.Prepare(card, allow)
			if test.refused != "" {
				if err == nil || !strings.Contains(err.Error(), "/etc/modprobe.d/vfio.conf line") {
					t.Errorf("planned %s, %v; want a refusal that names the line", plan, err)
				}
				return
			}
			if err != nil || plan.Empty() {
				t.Fatalf("%v, %s", err, plan)
			}
			for _, want := range test.want {
				if !strings.Contains(plan.String(), want) {
					t.Errorf("no %q in %s", want, plan)
				}
			}
			if strings.Contains(plan.String(), "+options vfio-pci ids=") {
				t.Errorf("a second list of ids: %s", plan)
			}
		})
	}
}

func TestModulesLoadedByName(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, text, want, fix string }{
		"right":                       {"modules", "# vfio\nvfio\nvfio_pci\nvfio-iommu-type1\nnct6775\n", "", ""},
		"options after the name":      {"modules", "vfio-pci ids=10de:2504\n", "iommu.modules-load", "options vfio-pci ids=10de:2504"},
		"where options are taken":     {"initramfs-tools/modules", "vfio-pci ids=10de:2504\n", "", ""},
		"a misspelt name":             {"modules-load.d/vfio.conf", "vfio_pcie\n", "iommu.modules-load", "vfio-pci"},
		"what is gone since 6.2":      {"modules", "vfio_virqfd\n", "iommu.virqfd-gone", "Remove"},
		"what is in front of a comma": {"modules", "vfio_pci,\n", "iommu.modules-load", "vfio-pci"},
	} {
		facts := read(t, "two-identical-cards", "file etc/"+test.file+" "+strconv.Quote(test.text), `file proc/sys/kernel/osrelease "6.8.12-4-pve\n"`)
		found := slices.DeleteFunc(facts.Check(), func(f proxstation.Finding) bool { return f.ID != "iommu.modules-load" && f.ID != "iommu.virqfd-gone" })
		switch {
		case test.want == "" && len(found) == 0:
		case len(found) != 1 || found[0].ID != test.want || !strings.Contains(found[0].Fix, test.fix):
			t.Errorf("%s: %v", name, found)
		}
	}
}

// FuzzModprobe checks that the judgement works with any file. A text counts as
// an ID only if kmod would read it as an ID.
func FuzzModprobe(f *testing.F) {
	for _, seed := range []string{"options vfio-pci ids=10de:2504\n", "softdep a pre: b post: c\\\n d\n", "# \\\nblacklist x\r\n", "\ufeffids", "install vfio-pci /bin/false", "options vfio-pci ids = 1:2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		facts := iommu.Facts{Modprobe: []iommu.HostFile{{Path: "etc/modprobe.d/x.conf", Text: text}}, Functions: []iommu.Function{{Model: iommu.Model{Vendor: 0x10de, Device: 0x2504}}}}
		for _, finding := range facts.Check() {
			if finding.Severity == 0 || finding.Seen == "" || finding.Why == "" {
				t.Errorf("%v says too little", finding)
			}
		}
	})
}
