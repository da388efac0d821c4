package opencore

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"howett.net/plist"

	"github.com/proxstation/proxstation/internal/opencoretest"
)

// Decodes a property list with another library.
func decoded(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var v map[string]any
	if _, err := plist.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

func TestParse(t *testing.T) {
	t.Parallel()
	root, twice, err := parse([]byte(opencoretest.Config))
	if err != nil || len(twice) != 0 {
		t.Fatal(err, twice)
	}
	for key, want := range map[string]Value{
		"Misc/Security/ScanPolicy":                                         IntegerValue(0x11F0303),
		"Booter/Quirks/ResizeAppleGpuBars":                                 IntegerValue(-1),
		"Kernel/Add/1/Enabled":                                             BoolValue(false),
		"Kernel/Add/2/BundlePath":                                          TextValue("WhateverGreen.kext"),
		"NVRAM/Add/7C436110-AB2A-4BBB-A880-FE41995C9F82/csr-active-config": DataValue([]byte{0x26, 0x0F, 0, 0}),
		"Kernel/Patch":                                                     {Kind: Array},
		"DeviceProperties/None":                                            {},
		"Kernel/Add/3":                                                     {},
		"Misc/Security/ScanPolicy/Deeper":                                  {},
	} {
		if have := root.Get(strings.Split(key, "/")...); !have.Equal(want) {
			t.Errorf("%s is %s %s, want %s", key, have.Kind, have, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "EOF", "<plist>": "EOF", "<html/>": "want plist", "<plist><array/></plist>": "want a dict", "<plist><dict/><dict/></plist>": "more than one value",
		"<plist><dict><string>a</string></dict></plist>": "want a key", "<plist><dict><key>a</key></dict></plist>": `key "a" has no value`,
		"<plist><dict><key>a</key><integer>x</integer></dict></plist>": "not an integer", "<plist><dict><key>a</key><data>!</data></dict></plist>": "base64",
		"<plist><dict><key>a</key><colour/></dict></plist>": "not a value", "<plist><dict>text</dict></plist>": "text outside",
		"<plist><dict><key>a<b/></key></dict></plist>": "inside of text", "bplist00": "binary",
		"<plist><dict><key>a</key>" + strings.Repeat("<array>", 40) + strings.Repeat("</array>", 40) + "</dict></plist>": "deep",
		"<plist><dict><key>a</key><array>" + strings.Repeat("<true/>", 40000) + "</array></dict></plist>":                "32768",
		"<plist><dict/></plist><plist/>": "behind the end", "<plist><dict></dict>": "unexpected EOF",
		"\ufeff<plist><dict/></plist>": "byte order mark", "\xff\xfe<\x00": "byte order mark", "<plist><dict><key>a</key><string>\x00</string></dict></plist>": "illegal character",
		`<!DOCTYPE plist [<!ENTITY a SYSTEM "file:///etc/hostname"><!ENTITY b "&a;&a;">]><plist><dict><key>x</key><string>&b;</string></dict></plist>`: "invalid character entity &b;",
	} {
		_, _, err := parse([]byte(text))
		var typed *ConfigError
		if !errors.Is(err, ErrConfig) || !errors.As(err, &typed) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
	if _, twice, err := parse([]byte("<plist><dict><key>a</key><dict><key>b</key><true/><key>b</key><false/></dict></dict></plist>")); err != nil || len(twice) != 1 || twice[0] != "a -> b" {
		t.Errorf("twice: %q, %v", twice, err)
	}
}

// A change may only affect the lines of its key, and another library must see
// that only this key changed.
func TestEdit(t *testing.T) {
	t.Parallel()
	kext := Value{Kind: Dict, Items: []Item{{Key: "BundlePath", Value: TextValue("A&B.kext")}, {Key: "Enabled", Value: BoolValue(true)}}}
	const nvram = "7C436110-AB2A-4BBB-A880-FE41995C9F82"
	for name, test := range map[string]struct {
		change Change
		lines  string // what the text has instead: "-" lines are gone, "+" lines are new
	}{
		"a value": {Change{Key{"PlatformInfo", "Generic", "SystemProductName"}, TextValue("iMacPro1,1"), TextValue("iMac19,1")},
			"-\t\t\t<string>iMacPro1,1</string>\n+\t\t\t<string>iMac19,1</string>\n"},
		"a new key": {Change{Key: Key{"Misc", "Security", "Odd"}, Want: BoolValue(true)},
			"+\t\t\t<key>Odd</key>\n+\t\t\t<true/>\n"},
		"new dictionaries": {Change{Key: Key{"DeviceProperties", "Add", "PciRoot(0x0)/Pci(0x2,0x0)", "AAPL,ig-platform-id"}, Want: DataValue([]byte{7, 0, 0x9B, 0x3E})},
			"+\t\t\t</dict>\n+\t\t\t<key>PciRoot(0x0)/Pci(0x2,0x0)</key>\n+\t\t\t<dict>\n+\t\t\t\t<key>AAPL,ig-platform-id</key>\n+\t\t\t\t<data>BwCbPg==</data>\n"},
		"into an empty array": {Change{Key: Key{"Kernel", "Patch", "0"}, Want: TextValue("x")},
			"-\t\t<array/>\n+\t\t<array>\n+\t\t\t<string>x</string>\n+\t\t</array>\n"},
		"before the first of an array": {Change{Key: Key{"Kernel", "Add", "0"}, Want: kext},
			"+\t\t\t<dict>\n+\t\t\t\t<key>BundlePath</key>\n+\t\t\t\t<string>A&amp;B.kext</string>\n+\t\t\t\t<key>Enabled</key>\n+\t\t\t\t<true/>\n+\t\t\t</dict>\n"},
		"at the end of an array": {Change{Key: Key{"NVRAM", "Delete", nvram, "2"}, Want: TextValue("csr-active-config")},
			"+\t\t\t\t<string>csr-active-config</string>\n"},
		"without a key": {Change{Key{"DeviceProperties", "Add", "PciRoot(0x1)/Pci(0x1F,0x0)", "compatible"}, TextValue("pci8086,2916"), Value{}},
			"-\t\t\t\t<key>compatible</key>\n-\t\t\t\t<string>pci8086,2916</string>\n"},
		"a key that is gone already": {Change{Key{"DeviceProperties", "Add", "none"}, Value{}, Value{}}, ""},
	} {
		edited, err := edit([]byte(opencoretest.Config), test.change)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if have := lineDiff(opencoretest.Config, string(edited)); have != test.lines {
			t.Errorf("%s:\n%swant\n%s", name, have, test.lines)
		}
		want := decoded(t, []byte(opencoretest.Config))
		put(want, test.change)
		if have := decoded(t, edited); !reflect.DeepEqual(have, want) {
			t.Errorf("%s: another library reads a different change", name)
		}
	}
}

// Makes a change in a tree that the other library decoded.
func put(tree any, c Change) any {
	if len(c.Key) == 0 {
		return plain(c.Want)
	}
	rest := Change{c.Key[1:], c.Have, c.Want}
	switch node := tree.(type) {
	case map[string]any:
		if c.Want.Kind == Absent && len(c.Key) == 1 {
			delete(node, c.Key[0])
		} else if next, there := node[c.Key[0]]; there {
			node[c.Key[0]] = put(next, rest)
		} else {
			node[c.Key[0]] = put(map[string]any{}, rest)
		}
	case []any:
		at := 0
		for _, digit := range c.Key[0] {
			at = 10*at + int(digit-'0')
		}
		if c.Have.Kind == Absent && len(c.Key) == 1 {
			return append(append(append([]any{}, node[:at]...), plain(c.Want)), node[at:]...)
		}
		node[at] = put(node[at], rest)
	}
	return tree
}

// Returns a value in the form in which the other library has it.
func plain(v Value) any {
	switch v.Kind {
	case Bool:
		return v.True()
	case Integer:
		n, _ := v.Int()
		if n < 0 {
			return n
		}
		return uint64(n)
	case Data:
		return v.Bytes()
	case Dict:
		tree := map[string]any{}
		for _, item := range v.Items {
			tree[item.Key] = plain(item.Value)
		}
		return tree
	case Array:
		list := []any{}
		for _, item := range v.Items {
			list = append(list, plain(item.Value))
		}
		return list
	}
	return v.Text
}

// lineDiff returns the changed lines between the common beginning and the
// common end.
func lineDiff(before, after string) string {
	a, b := strings.SplitAfter(before, "\n"), strings.SplitAfter(after, "\n")
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	var d strings.Builder
	for _, line := range a {
		d.WriteString("-" + line)
	}
	for _, line := range b {
		d.WriteString("+" + line)
	}
	return d.String()
}

func TestEditRefuses(t *testing.T) {
	t.Parallel()
	const twice = "<plist><dict><key>a</key><true/><key>a</key><false/></dict></plist>"
	for name, test := range map[string]struct {
		text   string
		change Change
		want   string
	}{
		"another value":     {opencoretest.Config, Change{Key{"Misc", "Security", "ScanPolicy"}, IntegerValue(1), IntegerValue(0)}, "no longer as planned"},
		"a key that is new": {opencoretest.Config, Change{Key{"Misc", "Security", "ScanPolicy"}, Value{}, IntegerValue(0)}, "there already"},
		"below a scalar":    {opencoretest.Config, Change{Key{"Misc", "Security", "ScanPolicy", "x"}, Value{}, IntegerValue(0)}, "want a dict"},
		"a key twice":       {twice, Change{Key{"a"}, BoolValue(true), BoolValue(false)}, "more than once"},
	} {
		if _, err := edit([]byte(test.text), test.change); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func FuzzEdit(f *testing.F) {
	f.Add([]byte(opencoretest.Config), "Misc/Security/ScanPolicy", "0")
	f.Add([]byte("<plist><dict><key>a</key><array/></dict></plist>"), "a/0", "x")
	f.Add([]byte("<plist><dict><key>a</key><dict>\r\n</dict></dict></plist>"), "a/b/c", "<&>")
	f.Add([]byte("<plist><dict></dict></plist>"), "\xb5ScanPolicy", "0")
	f.Add([]byte("<plist><dict></dict></plist>"), "\x00@0", "x")
	f.Add([]byte("<plist><dict><key>a</key><array/></dict></plist>"), "a/*", "x")
	f.Fuzz(func(t *testing.T, text []byte, path, want string) {
		key := Key(strings.Split(path, "/"))
		root, twice, err := parse(text)
		if err != nil || len(twice) > 0 {
			return
		}
		c := Change{key, root.Get(key...), TextValue(want)}
		edited, err := edit(text, c)
		if err != nil {
			return
		}
		again, _, err := parse(edited)
		if err != nil {
			t.Fatalf("%v in\n%s", err, edited)
		}
		if parent := root.Get(key[:len(key)-1]...); parent.Kind == Array && len(parent.Items) < 1000 && !slices.Contains([]string{"0", "1"}, key[len(key)-1]) {
			return // an index beyond the end adds a member at the end, so it is not at this key
		}
		// XML has no control characters and only one kind of line break. Other
		// characters are replaced, so the text may become longer.
		if have := again.Get(key...); have.Kind != Text || len(have.Text) > 3*len(want) {
			t.Fatalf("%s is %s, want %q, in\n%s", key, have, want, edited)
		}
	})
}

// FuzzRead damages an image of each layout at one place.
func FuzzRead(f *testing.F) {
	tree := opencoretest.New(opencoretest.Config)
	disks := []opencoretest.Memory{tree.FAT(12, 1<<20), tree.GPT(12, 3<<20), tree.ISO(5 << 20), tree.MBR(12, 3<<20), tree.FAT(12, 1<<20).Gzip()}
	for layout := range disks {
		f.Add(byte(layout), uint32(0), []byte{})
		f.Add(byte(layout), uint32(0), []byte("QFI\xfb"))
		f.Add(byte(layout), uint32(512+72), []byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F})
		f.Add(byte(layout), uint32(17*2048+0x47), []byte{0xFF, 0xFF, 0xFF, 0xFF})
		f.Add(byte(layout), uint32(11), []byte{0, 2, 1, 1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF})
	}
	f.Fuzz(func(t *testing.T, layout byte, at uint32, patch []byte) {
		base := disks[int(layout)%len(disks)]
		d := &disk{base: base, size: int64(len(base)), blocks: map[int64][]byte{}}
		if _, err := d.WriteAt(patch[:min(len(patch), 1<<12)], int64(at)%(d.size-min(d.size-1, 1<<12))); err != nil {
			t.Skip()
		}
		_, err := Read(d, d.size)
		if err != nil && !errors.Is(err, ErrImage) && !errors.Is(err, ErrConfig) {
			t.Fatalf("an error of another kind: %v", err)
		}
	})
}

// For a damaged program or Info.plist, the functions may return no version, but
// must not panic.
func FuzzProgram(f *testing.F) {
	f.Add(opencoretest.Program("105", [528]byte{1}))
	f.Add([]byte("<plist><dict><key>CFBundleVersion</key><string>1.2</string></dict></plist>"))
	f.Add([]byte("bplist00\xa1\x00\x08\x00\x00\x00\x00\x00\x00\x01\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x0a"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v := versionOf(data); v.Major < 0 || v.Major > 9 {
			t.Errorf("version %s", v)
		}
		_ = vaulted(data)
		if k := readInfo(data); k.ID == "" && k.Problem == "" {
			t.Error("a bundle without a name and without a problem")
		}
		_ = forMacs(data)
		if v, known := ParseVersion(string(data)); known && v.Before(Version{}) {
			t.Errorf("%s is before 0.0.0", v)
		}
	})
}
