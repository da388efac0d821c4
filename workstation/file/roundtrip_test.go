package file

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// fill sets all fields that a page can have to values other than zero.
func fill(v reflect.Value) {
	switch v.Type() {
	case reflect.TypeFor[storage.Size]():
		v.SetInt(int64(2 * storage.GiB))
	case reflect.TypeFor[time.Duration]():
		v.SetInt(int64(90 * time.Second))
	case reflect.TypeFor[gpu.Guest]():
		v.Set(reflect.ValueOf(gpu.MacOSSonoma))
	case reflect.TypeFor[iommu.Address]():
		v.Set(reflect.ValueOf(address))
	case reflect.TypeFor[Reference]():
		v.SetString("env:SECRET")
	case reflect.TypeFor[Key]():
		v.SetString(publicKey)
	case reflect.TypeFor[MAC]():
		v.SetString("bc:24:11:00:00:8d")
	case reflect.TypeFor[install.CardTime]():
		v.Set(reflect.ValueOf(install.CardAtOnce))
	case reflect.TypeFor[netip.Addr]():
		v.Set(reflect.ValueOf(netip.MustParseAddr("192.168.1.1")))
	case reflect.TypeFor[netip.Prefix]():
		v.Set(reflect.ValueOf(netip.MustParsePrefix("192.168.1.41/24")))
	case reflect.TypeFor[rustdesk.Version]():
		version, _ := rustdesk.ParseVersion("1.4.7")
		v.Set(reflect.ValueOf(version))
	default:
		fillKind(v)
	}
}

func fillKind(v reflect.Value) {
	if known := words[v.Type()]; known != nil {
		if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
			_ = u.UnmarshalText([]byte(known[1]))
			return
		}
		v.SetString(known[0])
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0))
		fill(v.Index(1))
	case reflect.Map:
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, value)
	case reflect.Struct:
		for _, f := range fields(v.Type()) {
			fill(v.FieldByIndex(f.index))
		}
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Uint16:
		v.SetUint(7)
	case reflect.Float64:
		v.SetFloat(1.5)
	}
}

var address = func() iommu.Address { a, _ := iommu.ParseAddress("0000:01:00.0"); return a }()

// filled returns a workstation of each profile. All fields are set.
func filled() []Workstation {
	var all []Workstation
	for i, kind := range kinds {
		w := kind()
		fill(reflect.ValueOf(w).Elem())
		reflect.ValueOf(w).Elem().FieldByName("ID").SetInt(int64(200 + i))
		all = append(all, w)
	}
	return all
}

// A page can set every field of every profile. The test fills in all keys of
// the page and looks for fields that are still unset.
func TestEveryFieldOfAProfileIsReached(t *testing.T) {
	t.Parallel()
	facts := workstation.Facts{Node: "pve", CPU: "Intel", IOMMU: iommu.Facts{Functions: []iommu.Function{{Address: address, Class: 0x030000, Model: iommu.Model{Vendor: 0x10de, Device: 0x2c05}}}}}
	c := &conversion{page: Page{Cards: map[string]Card{"text": {Address: address}}, Remote: &Remote{RustDesk: &RustDesk{}}}, facts: facts,
		resolve: func(Reference) (proxstation.Secret, error) { return proxstation.NewSecret("secret"), nil }}
	fill(reflect.ValueOf(c.page.Remote.RustDesk).Elem())
	c.page.Remote.RustDesk.Guests = []string{"name"}
	c.page.Remote.RustDesk.Packages[rustdesk.Windows] = rustdesk.Package{URL: "x"}
	for _, w := range filled() {
		if mac, ok := w.(*MacOS); ok { // without an Image, no copy has to be planned
			mac.OpenCore.Image = ""
		}
		made := reflect.ValueOf(w.made("name", c))
		if as, ok := made.Interface().(asIs); ok {
			made = reflect.ValueOf(as.from)
		}
		if setsItselfUp(w) {
			g := c.setUp("name", w, false)
			setup := reflect.ValueOf(g.Linux)
			if g.Windows != nil {
				setup = reflect.ValueOf(g.Windows)
			}
			for _, unset := range zeroFields(setup.Elem(), setup.Type().String()) {
				if w.Profile() != "rustdesk-server" || unset != "*firstboot.LinuxAI.Models" {
					t.Errorf("profile %s: no key of the page reaches %s", w.Profile(), unset)
				}
			}
			if g.Storage == "" || g.Card == install.CardLater || g.RustDesk == nil {
				t.Errorf("profile %s: %+v", w.Profile(), g)
			}
		}
		for _, unset := range zeroFields(made, made.Type().String()) {
			if strings.HasPrefix(unset, "profile.MacOS.Image.") || unset == "workstation.VM.Notes" {
				continue // a program finds these values in an OpenCore image; a user does not set them
			}
			t.Errorf("profile %s: no key of the page reaches %s", w.Profile(), unset)
		}
	}
	if len(c.errs) > 0 {
		t.Error(c.errs)
	}
}

func zeroFields(v reflect.Value, name string) (unset []string) {
	if v.Kind() == reflect.Struct && v.NumField() > 0 && v.Type().PkgPath() != "net/netip" && v.Type() != reflect.TypeFor[gpu.Card]() && v.Type() != reflect.TypeFor[proxstation.Secret]() {
		for f, value := range v.Fields() {
			if f.IsExported() {
				unset = append(unset, zeroFields(value, name+"."+f.Name)...)
			}
		}
		return unset
	}
	if v.IsZero() {
		return []string{name}
	}
	return nil
}

// All fields of a page are set. Format writes the page, and Parse reads the
// same page back.
func TestFormatIsReadAsTheSamePage(t *testing.T) {
	t.Parallel()
	var page Page
	for _, f := range fields(reflect.TypeFor[Page]()) {
		if f.key != "workstations" && f.key != "dualboot" {
			fill(reflect.ValueOf(&page).Elem().FieldByIndex(f.index))
		}
	}
	page.Workstations = map[string]Workstation{}
	for _, w := range filled() {
		page.Workstations[w.Profile()] = w
		w.ha().State, w.ha().Together = "ignored", nil // a member of a set may have only this state
		switch w := w.(type) {                         // User, Network and Setup exclude CloudInit
		case *LinuxAI:
			w.CloudInit = nil
		case *MacOS: // Image excludes Volume
			w.OpenCore.Volume, w.OpenCore.Identity.MadeUp = "", false
		case *RustDeskServer:
			w.User, w.Network, w.Setup = nil, nil, nil
		}
	}
	page.Workstations["volume"] = &MacOS{MacOS: profile.MacOS{ID: 901}, OpenCore: OpenCore{Volume: "local:import/oc.raw"}}
	page.Workstations["new-mac"] = &MacOS{MacOS: profile.MacOS{ID: 902}, OpenCore: OpenCore{Image: "oc.iso", Identity: Identity{MadeUp: true}}}
	page.Workstations["text"] = &Windows11{Home: Home{HA: &HA{}}, Windows11: profile.Windows11{ID: 900, Card: "text"}}
	page.DualBoot = map[string]DualBoot{"a set": {}}
	set := page.DualBoot["a set"]
	fill(reflect.ValueOf(&set).Elem())
	set.Members = []string{"windows11", "text"}
	page.DualBoot["a set"] = set
	written := Format(page, map[string]string{"": "two\nlines", "cards.text": "a card", "workstations.windows11.memory": "much"})
	source, err := Parse("", written)
	if err != nil {
		t.Fatalf("%v\n%s", err, written)
	}
	if !reflect.DeepEqual(source.Page, page) {
		t.Errorf("have %#v\nwant %#v\n%s", source.Page, page, written)
	}
	for _, comment := range []string{"    opencore: local:import/oc.raw\n", "opencore: {image: oc.iso, identity: made-up}\n", "identity: {serial: env:SECRET, mlb: env:SECRET, uuid: env:SECRET, rom: env:SECRET}\n", "# two\n# lines\n", "   # a card\n", "memory: 2GiB   # much\n"} {
		if !bytes.Contains(written, []byte(comment)) {
			t.Errorf("no comment %q in\n%s", comment, written)
		}
	}
	if again := Format(source.Page, nil); !reflect.DeepEqual(again, Format(page, nil)) {
		t.Error("written again, it is another text")
	}
}

// Set changes a value in its place. All other bytes of the file stay the same.
func TestSetKeepsAllElse(t *testing.T) {
	t.Parallel()
	source := reference(t)
	for key, change := range map[string]struct {
		value     any
		old, text string
	}{
		"workstations.macos.stage":            {profile.MacOnCard, "stage: install #", "stage: card #"},
		"workstations.windows.memory":         {24 * storage.GiB, "    id: 140\n    profile: windows11\n    memory: 16GiB\n", "    id: 140\n    profile: windows11\n    memory: 24GiB\n"},
		"workstations.windows.cores":          {12, "time-zone: UTC}\n", "time-zone: UTC}\n    cores: 12\n"},
		"workstations.windows.user.name":      {"J\u00fcrgen # me", "user: {name: me, password", "user: {name: \"J\u00fcrgen # me\", password"},
		"workstations.linux-ai.user.password": {Reference("env:LINUX"), "keys: file:~/.ssh/id_ed25519.pub}", "keys: file:~/.ssh/id_ed25519.pub, password: env:LINUX}"},
		"cards.igpu.mapping":                  {"uhd", `igpu: {address: "0000:00:02.0"} #`, `igpu: {address: "0000:00:02.0", mapping: uhd} #`},
		"cards.rtx.address":                   {address, `"0000:01:00", map`, `"0000:01:00.0", map`},
		"dualboot.rtx.members":                {[]string{"linux-ai", "windows"}, "[windows, linux-ai], grace", "[linux-ai, windows], grace"},
		"dualboot.rtx.members[0]":             {"windows", "members: [windows", "members: [windows"},
		"storage.local":                       {Storage{Tier: storage.Tier1}, "{tier: 3}\n", "{tier: 3}\n  local: {tier: 1}\n"},
		"place":                               {storage.PlaceOptions{Overcommit: 2}, "linux-ai]}\n", "linux-ai]}\nplace: {overcommit: 2}\n"},
	} {
		before := string(source.Bytes())
		after, err := source.Set(key, change.value)
		if err != nil {
			t.Errorf("%s: %v", key, err)
			continue
		}
		i := strings.LastIndex(before, change.old)
		if want := before[:max(i, 0)] + change.text + before[max(i, 0)+len(change.old):]; string(after.Bytes()) != want {
			t.Errorf("%s: have\n%s", key, after.Bytes())
		}
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	source := reference(t)
	for key, test := range map[string]struct {
		value any
		want  error
	}{
		"workstations.windows.memory":    {10, ErrInvalid},
		"workstations.windows.memroy":    {storage.GiB, ErrInvalid},
		"workstations.windows.card":      {"other", ErrInvalid},
		"workstations.other.memory":      {storage.GiB, ErrEdit},
		"workstations.windows":           {"x", ErrEdit},
		"":                               {"x", ErrInvalid},
		"workstations.windows.user.name": {"a\nb", nil},
	} {
		if _, err := source.Set(key, test.value); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", key, err, test.want)
		}
	}
	long, err := Parse("", []byte("workstations:\n  w:\n    profile: custom\n    id: 150\n    config:\n      description: |\n        two\n        lines\n  v: {profile: custom, id: 151}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := long.Set("workstations.w.config.description", "one"); !errors.Is(err, ErrEdit) {
		t.Errorf("a value of two lines: %v", err)
	}
	added, err := long.Set("workstations.w.config.cores", 4)
	if err != nil || added.Page.Workstations["w"].(*Custom).Config["description"] != "two\nlines\n" || added.Page.Workstations["w"].(*Custom).Config["cores"] != "4" {
		t.Errorf("behind a value of two lines: %v\n%s", err, added.Bytes())
	}
}

func TestSizesAndTimesHaveOneText(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]storage.Size{"16GiB": 16 * storage.GiB, "16G": 16 * storage.GiB, "1.5TiB": 1536 * storage.GiB, "512 MiB": 512 * storage.MiB, "0.5KiB": 512} {
		have, err := parseSize(text)
		if err != nil || have != want {
			t.Errorf("%s: %v, %v", text, have, err)
		}
		if again, err := parseSize(sizeText(want)); err != nil || again != want {
			t.Errorf("%s: written as %s: %v, %v", text, sizeText(want), again, err)
		}
	}
	for d, want := range map[time.Duration]string{3 * time.Minute: "3m", 90 * time.Second: "1m30s", time.Hour: "1h", 2*time.Hour + time.Second: "2h0m1s", 50 * time.Minute: "50m", 20 * time.Hour: "20h"} {
		if got := durationText(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func TestKebab(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"ID": "id", "HugePages": "huge-pages", "SSHKeys": "ssh-keys", "HideFromLAN": "hide-from-lan", "Big Sur": "big-sur", "Windows 11": "windows-11"} {
		if got := kebab(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestNear(t *testing.T) {
	t.Parallel()
	words := []string{"memory", "mode", "models", "system", "rom"}
	for text, want := range map[string]string{"memroy": "memory", "Memory": "memory", "modls": "models", "sytsem": "system", "x": "", "entirely": "", "mom": "rom"} {
		if got := near(text, words); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Format writes a parsed page, and Parse reads the same page back. Setting a
// key to the value that it has adds no key and removes no key.
func FuzzPage(f *testing.F) {
	f.Add("node: pve\nstorage: {a: {tier: 3}}\n")
	f.Add("workstations:\n  w:\n    profile: custom\n    id: 150\n    config: {args: \"-device x,y=\\u0007\", d: 'it''s'}\n    disks:\n    - {slot: scsi0, options: {a: b}}\n")
	f.Add("cards: {rtx: {address: \"0000:01:00\"}}\nworkstations: {w: {profile: macos, card: rtx, memory: 1.5GiB, osk: env:X}}\n")
	f.Add("workstations: {m: {profile: macos, opencore: local:import/oc.raw}, n: {profile: macos, id: 131, opencore: {image: oc.iso.gz, kexts: Lilu.zip, identity: made-up, replace: true}}}\n")
	f.Add("a: &b [*b]")
	f.Add("? [a]\n: |\n  b")
	f.Fuzz(func(t *testing.T, text string) {
		source, err := Parse("p", []byte(text))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("%v", err)
			}
			return
		}
		written := Format(source.Page, nil)
		again, err := Parse("p", written)
		if err != nil || fmt.Sprintf("%#v", plainPage(again.Page)) != fmt.Sprintf("%#v", plainPage(source.Page)) {
			t.Fatalf("%v\n%s\nas\n%s\n%#v\n%#v", err, text, written, plainPage(source.Page), plainPage(again.Page))
		}
		for _, key := range source.Keys() {
			value, ok := scalar(source.at[key])
			if !ok {
				continue
			}
			if after, err := source.Set(key, value); err == nil && !slices.Equal(after.Keys(), source.Keys()) {
				t.Fatalf("%s: set again, other keys are there:\n%s\n%s", key, text, after.Bytes())
			}
		}
	})
}

// plainPage returns the text of a page. Fields that are missing and fields that
// are empty give the same text.
func plainPage(p Page) string { return string(Format(p, nil)) }
