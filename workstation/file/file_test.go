package file

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// referencePage is the path of the page in examples/homelab.
const referencePage = "../../examples/homelab/homelab.yaml"

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ada@laptop"

func reference(t *testing.T) *Source {
	t.Helper()
	text, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	source, err := Parse("homelab.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// This resolves all references of the reference page.
func secrets(r Reference) (proxstation.Secret, error) {
	known := map[Reference]string{"env:MACOS_OSK": strings.Repeat("k", 64), "env:WINDOWS_PASSWORD": "correct horse", "env:RUSTDESK_PASSWORD": "battery staple",
		"file:~/.ssh/id_ed25519.pub": "# mine\n" + publicKey + "\n"}
	if text, there := known[r]; there {
		return proxstation.NewSecret(text), nil
	}
	return proxstation.Secret{}, errors.New("there is no such secret")
}

// This returns the facts of an embedded reference host.
func observed(t *testing.T) workstation.Facts {
	t.Helper()
	sim := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(sim.Close)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), RootCAs: sim.CertPool(), Username: "root@pam", Password: "secret"}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

// The reference page becomes a plan for three VMs on the reference host. The
// plan puts all disks on the wanted tiers and has no blocker.
func TestReferencePageIsAPlan(t *testing.T) {
	t.Parallel()
	facts := observed(t)
	spec, err := reference(t).Spec(facts, secrets)
	if err != nil {
		t.Fatal(err)
	}
	guests, err := reference(t).Guests(facts, secrets)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := install.Diff(spec, guests, facts)
	if err != nil {
		t.Fatal(err)
	}
	if proxstation.Worst(plan.First.Findings) == proxstation.Blocker {
		t.Errorf("the plan is blocked:\n%s", plan)
	}
	for _, want := range []string{"5 to add", "+ mapping workstation-gpu", "+ mapping igpu", "+ VM 130 macos", "+ VM 140 windows", "+ VM 141 linux-ai", "service-pool:100", "service-pool:80", "Then Windows in VM 140 windows is set up", "Then Linux in VM 141 linux-ai is set up", "local-lvm:128", "osk=[secret]"} {
		if !strings.Contains(plan.String(), want) {
			t.Errorf("the plan does not say %q:\n%s", want, plan)
		}
	}
	for _, secret := range []string{strings.Repeat("k", 64), "correct horse", "battery staple"} {
		if strings.Contains(fmt.Sprintf("%s %+v %#v", plan, spec, spec), secret) {
			t.Errorf("the plan shows %q", secret)
		}
	}
}

// The fix of storage.tier-unknown shows a line for the page. The page accepts
// the line as it is.
func TestPageTakesTheFixForATier(t *testing.T) {
	t.Parallel()
	pool := storage.Pool{Why: "no disk is known"}
	pool.Name, pool.Active = "media-pool", true
	found := slices.DeleteFunc(storage.Check([]storage.Pool{pool}), func(f proxstation.Finding) bool { return f.ID != "storage.tier-unknown" })
	if len(found) != 1 {
		t.Fatalf("findings %v", found)
	}
	at := strings.LastIndex(found[0].Fix, "storage: {")
	if at < 0 {
		t.Fatalf("the fix has no line for the page: %s", found[0].Fix)
	}
	source, err := Parse("p.yaml", []byte("node: pve\n"+strings.TrimSuffix(found[0].Fix[at:], ".")+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := source.Page.Tiers(); !reflect.DeepEqual(got, map[string]storage.Tier{"media-pool": storage.Tier2}) {
		t.Errorf("tiers %v", got)
	}
}

func TestReferencePageSaysTheRest(t *testing.T) {
	t.Parallel()
	page := reference(t).Page
	if got := page.Tiers(); !reflect.DeepEqual(got, map[string]storage.Tier{"media-pool": storage.Tier3}) {
		t.Errorf("tiers %v", got)
	}
	db, err := page.Set("rtx")
	if err != nil || !slices.Equal(db.Members, []int{140, 141}) || db.Grace.Minutes() != 3 || page.SetOf("windows") != "rtx" || page.SetOf("macos") != "" {
		t.Errorf("set %+v, %v", db, err)
	}
	if _, err := page.Set("rxt"); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "did you mean rtx?") {
		t.Errorf("no such set: %v", err)
	}
	guests, err := page.Guests(workstation.Facts{}, secrets, "windows")
	if err != nil || len(guests) != 2 || guests[0].Linux.Models.Slot != "scsi1" || !guests[0].Linux.NVIDIA || !slices.Equal(guests[0].Linux.Keys, []string{publicKey}) || guests[0].Again ||
		guests[1].Windows.User != "me" || guests[1].Windows.Games.Slot != "scsi1" || !guests[1].Again || guests[1].RustDesk != nil {
		t.Errorf("guests %+v, %v", guests, err)
	}
	for name, want := range map[string]string{"macos": "macos has no user", "widnows": "did you mean windows?"} {
		if _, err := page.Guests(workstation.Facts{}, secrets, name); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("again %s: %v", name, err)
		}
	}
	reach, err := page.Reach(secrets)
	if err != nil || len(reach) != 3 || reach[2].Workstation != "windows" || reach[2].RustDesk.OS != "windows" || reach[2].RustDesk.Config.Password.Reveal() != "battery staple" ||
		reach[2].RustDesk.Config.Access.Approve != "password" {
		t.Errorf("reach %+v, %v", reach, err)
	}
}

func TestHostPlan(t *testing.T) {
	t.Parallel()
	page, facts := reference(t).Page, hostFacts(t)
	plan, err := page.HostPlan(facts)
	if err != nil || !strings.Contains(plan.String(), "10de:2c05") || !strings.Contains(plan.String(), "iommu=pt") {
		t.Errorf("%v\n%s", err, plan)
	}
	page.Cards["rtx"] = Card{Address: iommu.Address{}.WithFunction(7)}
	if _, err := page.HostPlan(facts); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "host.keep[0]") {
		t.Errorf("a card that is not there: %v", err)
	}
	page.Host = nil
	if plan, err := page.HostPlan(facts); err != nil || !plan.Empty() {
		t.Errorf("nothing is wanted: %v\n%s", err, plan)
	}
}

// Each mistake is reported with its place, the expected value and a suggestion.
func TestMistakes(t *testing.T) {
	t.Parallel()
	station := func(lines string) string {
		return "cards: {rtx: {address: \"0000:01:00\"}}\nworkstations:\n  w:\n    profile: windows11\n    " + strings.ReplaceAll(lines, "\n", "\n    ") + "\n"
	}
	for name, test := range map[string]struct{ page, want string }{
		"a key":              {"sotrage: {}", "p.yaml:1:1: sotrage: no such key: did you mean storage?"},
		"a key inside":       {station("memroy: 16GiB"), "p.yaml:5:5: workstations.w.memroy: no such key: did you mean memory?"},
		"a far key":          {"storage: {a: {zzzzzzz: 1}}", "p.yaml:1:15: storage.a.zzzzzzz: no such key: want tier"},
		"a size":             {station("memory: 10"), "p.yaml:5:13: workstations.w.memory: 10 has no unit: want a number and a unit, such as 10GiB or 10MiB"},
		"a decimal size":     {station("memory: 16GB"), `p.yaml:5:13: workstations.w.memory: "16GB" is in powers of 1000, and PVE counts in powers of 1024: did you mean 16GiB?`},
		"half a byte":        {station("memory: 0.3KiB"), "p.yaml:5:13: workstations.w.memory: \"0.3KiB\" is not a size: want a number and a unit, such as 16GiB"},
		"below zero":         {station("memory: -1GiB"), "p.yaml:5:13: workstations.w.memory: \"-1GiB\" is not a size: want a number and a unit, such as 16GiB"},
		"a word":             {station("memory: much"), "p.yaml:5:13: workstations.w.memory: \"much\" is not a size: want a number and a unit (KiB, MiB, GiB, TiB), such as 16GiB"},
		"a profile":          {"workstations: {w: {profile: windows}}", "p.yaml:1:29: workstations.w.profile: \"windows\" is not a profile: did you mean windows11?"},
		"no profile":         {"workstations: {w: {id: 140}}", "p.yaml:1:19: workstations.w: it has no profile: want profile: and windows11, linux-ai, macos, rustdesk-server or custom"},
		"another's key":      {station("models: 80GiB"), "p.yaml:5:5: workstations.w.models: no such key: want"},
		"a card":             {station("card: trx"), "p.yaml:5:11: workstations.w.card: no card of the page has the name \"trx\": did you mean rtx?"},
		"an address":         {"cards: {rtx: {address: 1}}", "p.yaml:1:24: cards.rtx.address: \"1\" is not a PCI address"},
		"twice":              {station("id: 1\nid: 2"), "p.yaml:6:5: workstations.w.id: the key stands here twice, first in line 5"},
		"no value":           {station("pin:"), "workstations.w.pin: it has no value: want a single value, or leave the key out"},
		"yes":                {station("audio: yes"), "p.yaml:5:12: workstations.w.audio: \"yes\" is not valid: want true or false"},
		"a number":           {station("cores: four"), "p.yaml:5:12: workstations.w.cores: \"four\" is not valid: want a whole number, 0 or more"},
		"a secret":           {station("user: {password: hunter2}"), "p.yaml:5:22: workstations.w.user.password: not a reference: want env:NAME or file:PATH, never the secret itself (it is not shown here)"},
		"a private key":      {"workstations: {l: {profile: linux-ai, user: {keys: hunter2}}}", "workstations.l.user.keys: not a public key: want a line as in id_ed25519.pub, or env:NAME or file:PATH"},
		"env without name":   {station("user: {password: \"env:a b\"}"), "env: wants the name of a variable after it"},
		"a tier":             {"storage: {a: {tier: 4}}", "p.yaml:1:21: storage.a.tier: \"4\" is not valid: want 1, 2 or 3"},
		"a release":          {"workstations: {m: {profile: macos, release: seqoia}}", "p.yaml:1:45: workstations.m.release: \"seqoia\" is not valid: did you mean sequoia?"},
		"not macOS":          {"workstations: {m: {profile: macos, release: linux}}", "workstations.m.release: \"linux\" is not a release of macOS"},
		"no card, its stage": {"workstations: {m: {profile: macos, stage: card}}", "p.yaml:1:43: workstations.m.stage: the stage card needs the name of a card"},
		"a file as a volume": {"workstations: {m: {profile: macos, opencore: OpenCore-v21.iso.gz}}", "p.yaml:1:46: workstations.m.opencore: \"OpenCore-v21.iso.gz\" is neither a volume (local:import/...) nor a path of the node; to configure a copy of a file, give it as workstations.m.opencore.image"},
		"a volume to read":   {"workstations: {m: {profile: macos, opencore: {image: local:import/oc.raw}}}", "p.yaml:1:54: workstations.m.opencore.image: PVE's API shows nobody the content of a volume"},
		"two boot loaders":   {"workstations: {m: {profile: macos, opencore: {image: oc.iso, volume: local:import/oc.raw}}}", "p.yaml:1:46: workstations.m.opencore: want either volume, for an image that is used as it is, or image"},
		"kexts for nothing":  {"workstations: {m: {profile: macos, opencore: {kexts: Lilu.zip}}}", "workstations.m.opencore: kexts, identity, storage and replace are for the copy of an image: add workstations.m.opencore.image"},
		"half an identity":   {"workstations: {m: {profile: macos, opencore: {image: oc.iso, identity: {serial: env:A, uuid: env:B}}}}", "p.yaml:1:72: workstations.m.opencore.identity: Apple's services compare all four numbers, and some are missing: add mlb, rom"},
		"two identities":     {"workstations: {m: {profile: macos, opencore: {image: oc.iso, identity: {serial: env:A, made-up: true}}}}", "workstations.m.opencore.identity: want either made-up or the four numbers"},
		"an open identity":   {"workstations: {m: {profile: macos, opencore: {image: oc.iso, identity: {serial: hunter2}}}}", "workstations.m.opencore.identity.serial: not a reference: want env:NAME"},
		"an identity's word": {"workstations: {m: {profile: macos, opencore: {image: oc.iso, identity: hunter2}}}", "workstations.m.opencore.identity: want made-up, or the numbers of your own Mac by their keys: serial, mlb, uuid, rom"},
		"a key of OpenCore":  {"workstations: {m: {profile: macos, opencore: {image: oc.iso, kext: a}}}", "workstations.m.opencore.kext: no such key: did you mean kexts?"},
		"a member":           {station("card: rtx") + "dualboot: {d: {members: [w, v]}}", "p.yaml:6:29: dualboot.d.members[1]: no workstation of the page has the name \"v\": want w"},
		"one member":         {station("card: rtx") + "dualboot: {d: {members: [w]}}", "dualboot.d: a set has two different members or more"},
		"no common card":     {station("card: rtx") + "  l: {profile: linux-ai}\ndualboot: {d: {members: [w, l]}}", "l has no card, and the members of a set share one"},
		"a keyboard of two":  {station("setup: {language: de-DE}"), "p.yaml:5:12: workstations.w.setup: without a user nobody could log in: add user"},
		"no such disk":       {station("user: {name: me}\nsetup: {games: {label: x}}"), "p.yaml:6:20: workstations.w.setup.games: the workstation has no such disk: give its size at games"},
		"told twice":         {"workstations: {l: {profile: linux-ai, user: {name: me}, cloud-init: {user: me}}}", "workstations.l.cloud-init: user, network and setup exclude cloud-init"},
		"no user's network":  {"workstations: {l: {profile: linux-ai, network: {mac: bc:24:11:00:00:01}}}", "workstations.l.network: network is for guests that set themselves up"},
		"a MAC":              {"workstations: {l: {profile: linux-ai, user: {name: me}, network: {mac: 1}}}", "p.yaml:1:72: workstations.l.network.mac: \"1\" is not a hardware address"},
		"an edition":         {station("user: {name: me}\nsetup: {edition: Por}"), "workstations.w.setup.edition: \"Por\" is not valid: did you mean Pro?"},
		"when the card":      {station("user: {name: me}\nsetup: {card: now}"), "workstations.w.setup.card: \"now\" is not valid: want later or at-once"},
		"a time":             {"dualboot: {d: {grace: 3}}", "p.yaml:1:23: dualboot.d.grace: \"3\" is not a time: want a number and a unit, such as 90s or 3m"},
		"the same VMID":      {station("id: 7") + "  v: {profile: linux-ai, id: 7}", "workstations.w: VMID 7 belongs to v too"},
		"the default's VMID": {station("id: 141") + "  a: {profile: linux-ai}", "workstations.w: VMID 141 belongs to a too"},
		"the same card":      {"cards: {a: {address: \"0000:01:00.0\"}, b: {address: \"0000:01:00.1\"}}", "cards.b.address: the card a is at 0000:01:00 already"},
		"the same mapping":   {"cards: {a: {mapping: m}, b: {mapping: m}}", "cards.b: the mapping m belongs to the card a already"},
		"a guest":            {"remote: {rustdesk: {guests: x}}", "remote.rustdesk.guests[0]: no workstation of the page has the name \"x\": the page has none"},
		"a server":           {"remote: {rustdesk: {server: private}}", "remote.rustdesk.server: want public, or the keys of an own server: id, relay, api, key"},
		"to keep":            {"cards: {a: {mapping: m}}\nhost: {keep: [a]}", "the host can only keep a card whose address is on the page: add it at cards.a.address"},
		"a list":             {"cards: [a]", "p.yaml:1:8: cards: want names with their values below"},
		"a mapping":          {"node: {a: b}", "p.yaml:1:7: node: want a single value"},
		"an anchor":          {"node: &a pve", "p.yaml:1:7: a page has no anchors"},
		"an alias":           {"node: *a", "a page has no anchors"},
		"a merge":            {"storage:\n  a: {tier: 1}\n  <<: {b: {tier: 2}}", "p.yaml:3:3: a page has no anchors"},
		"a tag":              {"node: !!str 5", "a page has no anchors"},
		"two documents":      {"node: a\n---\nnode: b", "p.yaml:3:1: a page is one document"},
		"no YAML":            {"node: [a", "p.yaml:1:7: not YAML"},
		"a tab":              {"storage:\n\ta: {}", "p.yaml:2:1: not YAML"},
		"a text":             {"pve", "p.yaml:1:1: want keys below: node, storage"},
		"deep":               {strings.Repeat("[", 5000), "nested deeper"},
		"large":              {strings.Repeat("#\n", 200000), "larger than a page"},
		"not UTF-8":          {"node: \xff", "p.yaml:1:7: not UTF-8"},
	} {
		_, err := Parse("p.yaml", []byte(test.page))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// Parse reports all mistakes together, in the order of the file, each as an
// [Error] of its own.
func TestAllMistakesComeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Parse("p.yaml", []byte("cards: {a: {adress: x}}\nworkstations:\n  w:\n    profile: windows11\n    memory: 10\n    card: b\nnod: pve\n"))
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 4 {
		t.Fatalf("%v", err)
	}
	for i, key := range []string{"cards.a.adress", "workstations.w.memory", "workstations.w.card", "nod"} {
		if errs[i].Key != key || errs[i].File != "p.yaml" || errs[i].Column == 0 {
			t.Errorf("mistake %d is %+v, want %s", i, errs[i], key)
		}
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 1 {
		t.Errorf("the first is %+v", one)
	}
}

// Some mistakes only show on the node or in the secret store. They are also
// reported with their places.
func TestSpecMistakes(t *testing.T) {
	t.Parallel()
	source := reference(t)
	facts := workstation.Facts{Node: "pve"}
	none := func(Reference) (proxstation.Secret, error) { return proxstation.Secret{}, nil }
	_, err := source.Spec(facts, none)
	for _, want := range []string{"homelab.yaml:11:8: cards.rtx: node pve has no graphics card at 0000:01:00: the login sees no graphics card", "homelab.yaml:28:10: workstations.macos.osk: env:MACOS_OSK is empty"} {
		if !errors.Is(err, ErrInvalid) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	broken := func(Reference) (proxstation.Secret, error) { return proxstation.Secret{}, errors.New("no such file") }
	if _, err := source.Guests(workstation.Facts{}, broken); !strings.Contains(fmt.Sprint(err), "workstations.linux-ai.user.keys: file:~/.ssh/id_ed25519.pub: no such file") {
		t.Errorf("%v", err)
	}
	has := workstation.Facts{VMs: map[int]workstation.VMFacts{130: {}, 140: {}, 141: {}}}
	if guests, err := source.Guests(has, broken); err != nil || len(guests) != 2 {
		t.Errorf("guests that are there: %v", err)
	}
	if _, err := source.Guests(has, broken, "windows"); !strings.Contains(fmt.Sprint(err), "workstations.windows.user.password") || strings.Contains(fmt.Sprint(err), "linux") {
		t.Errorf("again: %v", err)
	}
	if got := source.Where("workstations.windows.memory"); got != "homelab.yaml:32:13" {
		t.Errorf("where: %s", got)
	}
	if got := source.Where("workstations.windows.nothing"); got != "homelab.yaml:30:5" {
		t.Errorf("where: %s", got)
	}
}

func hostFacts(t *testing.T) iommu.Facts {
	t.Helper()
	text, err := os.ReadFile("../../examples/host/host.txt")
	if err != nil {
		t.Fatal(err)
	}
	tree, err := hosttree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return facts
}

func TestGuestsHaveWords(t *testing.T) {
	t.Parallel()
	if got := []string{guestText(gpu.Linux), guestText(gpu.Windows11), guestText(gpu.MacOSHighSierra), guestText(gpu.MacOSBigSur), guestText(gpu.MacOSTahoe)}; !slices.Equal(got, []string{"linux", "windows-11", "high-sierra", "big-sur", "tahoe"}) {
		t.Errorf("%q", got)
	}
}

// A guest with a fixed address finds its network card by the hardware address
// (MAC). The hardware address comes from the page, or from the VM, or is made
// from the VMID.
func TestAddressAndCardGoTogether(t *testing.T) {
	t.Parallel()
	parse := func(network string) Page {
		source, err := Parse("", []byte("workstations: {l: {profile: linux-ai, user: {name: me, password: env:X}, network: {"+network+"}}}"))
		if err != nil {
			t.Fatal(err)
		}
		return source.Page
	}
	have := workstation.Facts{VMs: map[int]workstation.VMFacts{141: {ID: 141, Config: map[string]string{"net0": "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0"}}}}
	for name, test := range map[string]struct {
		page      Page
		facts     workstation.Facts
		mac, net0 string
	}{
		"made":  {parse("address: 192.168.1.41/24"), workstation.Facts{}, "bc:24:11:00:00:8d", "model=virtio,bridge=vmbr0,macaddr=BC:24:11:00:00:8D"},
		"said":  {parse("address: 192.168.1.41/24, mac: 02-00-00-00-00-01"), workstation.Facts{}, "02:00:00:00:00:01", "macaddr=02:00:00:00:00:01"},
		"there": {parse("address: 192.168.1.41/24"), have, "bc:24:11:aa:bb:cc", "model=virtio,bridge=vmbr0,macaddr=BC:24:11:AA:BB:CC"},
	} {
		spec, err := test.page.Spec(test.facts, nil)
		if err != nil {
			t.Fatal(err)
		}
		guests, err := test.page.Guests(test.facts, nil)
		if err != nil {
			t.Fatal(err)
		}
		vm := spec.VMs[0]
		if got := guests[0].Linux.Network.MAC.String(); got != test.mac || vm.Config["net0"] != test.net0 && vm.Defaults["net0"] != test.net0 {
			t.Errorf("%s: %s, %q, %q", name, got, vm.Config["net0"], vm.Defaults["net0"])
		}
	}
}
