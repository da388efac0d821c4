package iommu

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// checkModprobe finds lines of modprobe.d that do not have their intended
// effect, and files that kmod does not read. Lines of the distribution's files
// only count if they concern vfio or a card that is kept for guests: a line
// about a module that this kernel lacks does no harm there.
func (f Facts) checkModprobe() []proxstation.Finding {
	c := f.modconf(true)
	var found []proxstation.Finding
	for _, line := range slices.Concat(c.ignored, c.inVain()) {
		if !ours(line.directive) || shipped(line.file) && !f.concernsKept(line.directive) {
			continue
		}
		found = append(found, proxstation.Finding{ID: "iommu.modprobe-ignored", Severity: proxstation.Warning, Subject: "/" + line.file, Seen: line.where(),
			Why: "The line has no effect: " + line.why + ".", Fix: line.correction() + ", run update-initramfs -u -k all, and restart."})
	}
	for _, file := range f.ModprobeUnread {
		directives, _ := parseModprobe(file)
		if i := slices.IndexFunc(directives, ours); i >= 0 {
			found = append(found, proxstation.Finding{ID: "iommu.modprobe-unread", Severity: proxstation.Warning, Subject: "/" + file.Path, Seen: directives[i].where(),
				Why: "Kmod reads only files whose names end in .conf, so this file has no effect.",
				Fix: fmt.Sprintf("Run mv /%s /%s.conf and update-initramfs -u -k all, and restart.", file.Path, strings.TrimSuffix(file.Path, ".txt"))})
		}
	}
	return append(found, c.forbidden()...)
}

// The method "correction" says how to correct the line. A file of the
// distribution is copied first, because an update overwrites it. Kmod reads the
// copy in /etc/modprobe.d instead of the distribution's file (modprobe.d(5)).
func (line ignoredLine) correction() string {
	file, first := "/"+line.file, ""
	if shipped(line.file) {
		file = "/etc/modprobe.d/" + path.Base(line.file)
		first = "Run cp /" + line.file + " " + file + ". Then "
	}
	fix := fmt.Sprintf("Remove line %d of %s", line.number, file)
	if line.fix != "" {
		var lines []string
		for text := range strings.SplitSeq(strings.TrimSpace(line.fix), "\n") {
			lines = append(lines, strconv.Quote(text))
		}
		fix = fmt.Sprintf("Write line %d of %s as %s", line.number, file, list(lines))
	}
	if first != "" {
		return first + strings.ToLower(fix[:1]) + fix[1:]
	}
	return fix
}

// The function "shipped" reports whether a file of modprobe.d belongs to the
// distribution.
func shipped(file string) bool {
	return strings.HasPrefix(file, "usr/lib/modprobe.d/") || strings.HasPrefix(file, "lib/modprobe.d/")
}

// The method "concernsKept" reports whether a line concerns vfio or a module of
// a card that is kept for guests. The name may be misspelt.
func (f Facts) concernsKept(d directive) bool {
	k, err := f.kept()
	if err != nil {
		k = kept{} // somebody edited the file; plans refuse such a file
	}
	modules := k.modules()
	return ofVFIO(d) || slices.ContainsFunc(d.words(), func(word string) bool {
		return slices.Contains(modules, word) || slices.Contains(modules, nearDriver(word))
	})
}

// drivers holds the modules that matter for passthrough.
var drivers = []string{"vfio", "vfio_pci", "vfio_iommu_type1", "nouveau", "nova_core", "nvidia", "nvidiafb", "nvidia_drm", "nvidia_uvm",
	"nvidia_modeset", "amdgpu", "radeon", "radeonfb", "i915", "xe", "snd_hda_intel", "snd_hda_codec_hdmi", "xhci_pci", "xhci_hcd", "i2c_nvidia_gpu", "nvme", "ahci"}

// The function "ours" reports whether a line concerns passthrough, because it
// names one of the modules that matter. The name may be misspelt.
func ours(d directive) bool {
	return ofVFIO(d) || slices.ContainsFunc(d.words(), func(word string) bool { return slices.Contains(drivers, word) || nearDriver(word) != "" })
}

// The function "ofVFIO" reports whether a line names vfio or sets ids. The name
// may be misspelt.
func ofVFIO(d directive) bool {
	words := d.words()
	return slices.Contains(words, "ids") || slices.ContainsFunc(words, func(word string) bool {
		return strings.Contains(word, "vfio") || nearModule(word, []string{"vfio_pci"}, 2) != ""
	})
}

// The method "words" returns the words of a line in small letters, with
// underscores.
func (d directive) words() []string {
	plain := strings.ToLower(strings.ReplaceAll(d.text, "-", "_"))
	words := strings.FieldsFunc(plain, func(r rune) bool { return strings.ContainsRune(" \t=,:", r) })
	for i, word := range words {
		words[i] = strings.TrimRight(word, "\r*")
	}
	return words
}

// nearDriver returns the module whose name was misspelt, or "".
func nearDriver(name string) string {
	if slices.Contains(drivers, name) {
		return ""
	}
	var long, short []string
	for _, driver := range drivers {
		if len(driver) >= 6 {
			long = append(long, driver)
		} else {
			short = append(short, driver)
		}
	}
	limit := 2
	if len(name) < 6 {
		limit = 1
	}
	if near := nearModule(name, long, limit); near != "" {
		return near
	}
	if len(name) < 5 {
		return ""
	}
	return nearModule(name, short, 1)
}

// inVain returns the lines that kmod reads but that do not have the effect that
// their author wanted.
func (c modconf) inVain() []ignoredLine {
	var found []ignoredLine
	for _, d := range c.directives {
		if d.file == "" {
			continue
		}
		add := func(why, fix string) { found = append(found, ignoredLine{d, why, fix}) }
		name := strings.TrimRight(d.module, "\r")
		rest := strings.Fields(d.rest)
		near := nearDriver(name)
		switch {
		case name != d.module && d.verb != "options" && d.verb != "softdep":
			add("the line ends with a carriage return (a file of Windows), which kmod takes for a part of the name "+name, d.verb+" "+name)
		case d.verb == "blacklist" && strings.ContainsAny(name, "*?"):
			add("kmod compares names letter by letter, and there is no module "+name, "blacklist "+strings.TrimRight(name, "*?"))
		case d.verb == "blacklist" && len(rest) > 0 && !strings.HasPrefix(rest[0], "#"):
			add("a blacklist line takes one name, so "+list(rest)+" is not blacklisted", "blacklist "+name+"\nblacklist "+strings.Join(rest, "\nblacklist "))
		case near != "" && d.verb != "alias":
			add("no module is called "+name, strings.Replace(d.text, strings.Fields(d.text)[1], dashed(near), 1))
		case d.verb == "softdep":
			found = append(found, c.softdepInVain(d)...)
		case d.verb == "install" && d.forbids() && len(c.of("softdep", d.module)) > 0:
			add("the module has a softdep ("+c.of("softdep", d.module)[0].where()+"), and kmod then ignores its install lines", "blacklist "+dashed(name))
		case d.verb == "options":
			found = append(found, optionInVain(d)...)
		}
	}
	return found
}

// The function "dashed" returns a module's name with dashes, as people write it.
func dashed(module string) string {
	if module == "vfio_pci" {
		return "vfio-pci"
	}
	return module
}

// softdepInVain reports a softdep that has no effect, or that orders modules
// the wrong way round.
func (c modconf) softdepInVain(d directive) []ignoredLine {
	pre := d.softdep()
	all := c.of("softdep", d.module)
	fault := ignoredLine{directive: d}
	mentions := strings.Contains(strings.ReplaceAll(d.rest, "-", "_"), "vfio")
	switch wrong := slices.IndexFunc(pre, func(m string) bool {
		return m != "vfio_pci" && nearModule(strings.Trim(m, ",;"), []string{"vfio_pci"}, 2) != ""
	}); {
	case d.module == "vfio_pci" && len(pre) > 0:
		fault.why = "it loads " + list(pre) + " before vfio-pci, which is the wrong order"
		fault.fix = "softdep " + pre[0] + " pre: vfio-pci"
	case wrong >= 0:
		fault.why, fault.fix = "no module is called "+pre[wrong], "softdep "+d.module+" pre: vfio-pci"
	case mentions && len(pre) == 0 && !strings.Contains(d.rest, "post: "):
		fault.why = `a softdep only orders the modules after "pre:", which must be a separate word`
		fault.fix = "softdep " + d.module + " pre: vfio-pci"
	case len(all) > 1 && all[0] != d && slices.Contains(pre, "vfio_pci") && !slices.Contains(all[0].softdep(), "vfio_pci"):
		fault.why = "kmod takes the first softdep of a module, which is " + all[0].where()
	default:
		return nil
	}
	return []ignoredLine{fault}
}

// optionInVain reports an options line with an option that no module of VFIO
// knows.
func optionInVain(d directive) []ignoredLine {
	known := knownParameters[d.module]
	if known == nil {
		return nil
	}
	for _, word := range strings.Fields(d.rest) {
		name, value, hasValue := strings.Cut(word, "=")
		if slices.Contains(known, strings.ReplaceAll(name, "-", "_")) || !hasValue || name == "" { // the method "forbidden" reports "ids = X"
			continue
		}
		near := nearest(strings.ReplaceAll(name, "-", "_"), known, 3)
		if near == "" && name == "id" {
			near = "ids"
		}
		fix := ""
		if name == "ids" { // the option belongs to another module of VFIO
			fix = "options vfio-pci " + word
		} else if near != "" {
			fix = strings.Replace(d.text, word, near+"="+value, 1)
		}
		return []ignoredLine{{d, fmt.Sprintf("%s has no parameter %q", dashed(d.module), name), fix}}
	}
	return nil
}

// The method "forbidden" reports lines that prevent vfio-pci from being loaded.
// PVE runs modprobe vfio-pci when a guest starts.
func (c modconf) forbidden() []proxstation.Finding {
	var found []proxstation.Finding
	add := func(d directive, why, fix string) {
		found = append(found, proxstation.Finding{ID: "iommu.vfio-forbidden", Severity: proxstation.Blocker, Subject: "/" + d.file, Seen: d.where(), Why: why, Fix: fix})
	}
	for _, d := range c.of("install", "vfio_pci") {
		if d.forbids() && len(c.of("softdep", "vfio_pci")) == 0 {
			add(d, "vfio-pci is never loaded, so the start of a guest ends with \"Cannot find vfio-pci module!\".", fmt.Sprintf("Remove line %d of /%s.", d.number, d.file))
		}
	}
	for _, d := range c.of("options", "vfio_pci") {
		words := strings.Fields(d.rest)
		if i := slices.Index(words, "ids"); i >= 0 {
			add(d, "The parameter ids has no value here, so the kernel refuses to load the module, and the start of a guest ends with \"Cannot find vfio-pci module!\".",
				fmt.Sprintf("Write line %d of /%s as %q, without blanks around the equals sign, and run update-initramfs -u -k all.", d.number, d.file,
					"options vfio-pci ids="+strings.Trim(strings.Join(words[i+1:], ""), "=")))
		}
		for _, word := range words {
			if value, ok := strings.CutPrefix(word, "ids="); ok && len(value) > 1023 {
				add(d, "The list of ids is longer than 1023 letters, and the kernel refuses to load the module.", "Keep cards by their addresses: go run ./examples/host -keep ADDRESS -apply.")
			}
		}
	}
	return found
}
