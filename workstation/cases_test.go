package workstation_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A vmCase is read from a folder that holds configurations of people's VMs, in
// PVE's format, and the changes that these people wanted.
type vmCase struct {
	Mappings    []struct{ ID, Card string }
	VMs         []caseVM
	AddStorages []pvetest.Storage
	AddPCI      []pvetest.PCI
	Running     []int
	DualBoot    []int
	To          int
	User        string
	Password    string
	Apply       bool
	Faults      []pvetest.Fault
	Guests      map[int]pvetest.Guest
	Grace, Boot string
	Node        string
	Requests    []struct{ Name, Purpose, Size string }

	dir  string
	host pvetest.Host
}

// A caseVM describes a VM of the case's Spec. The named profile makes the VM
// from the fields in Args. Then the fields in Edit change it.
type caseVM struct {
	Profile, Card, OSK string
	Args               struct {
		ID                    int
		Name, Card            string
		Cores                 int
		Memory, System, Games string
		Models, OpenCore      string
		Release               gpu.Guest
		Stage                 uint8
		Audio                 bool
		CloudInit             struct{ User string }
	}
	Edit struct {
		Slots, Config map[string]string
	}
}

// readCase reads the folder of a case. If the folder has a file host.json, the
// file replaces parts of the reference host. If a VM names a volume that no
// storage has, readCase adds the volume to the storage.
func readCase(t *testing.T, dir string) vmCase {
	t.Helper()
	c := vmCase{dir: dir, host: pvetest.Reference()}
	for _, file := range []struct {
		name string
		into any
	}{{"case.json", &c}, {"host.json", &c.host}} {
		text, err := os.ReadFile(filepath.Join(dir, file.name))
		if err == nil {
			err = json.Unmarshal(text, file.into)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatalf("%s: %v", file.name, err)
		}
	}
	c.host.Storages = append(slices.Clone(c.host.Storages), c.AddStorages...)
	c.host.PCI = append(slices.Clone(c.host.PCI), c.AddPCI...)
	c.host.Guests = c.Guests
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		id, err := strconv.Atoi(strings.TrimSuffix(filepath.Base(file), ".conf"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		config := parseConf(string(text))
		c.addVolumes(config)
		c.host.VMs = append(c.host.VMs, pvetest.VM{ID: id, Config: config, Running: slices.Contains(c.Running, id)})
	}
	return c
}

// parseConf reads a configuration file of PVE, without its snapshots (qm.conf
// manual page, File Format).
func parseConf(text string) map[string]string {
	config, description := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "[") {
			break
		}
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			decoded, err := url.PathUnescape(comment)
			if err != nil {
				decoded = comment
			}
			description += decoded + "\n"
			continue
		}
		if key, value, ok := strings.Cut(line, ": "); ok {
			config[key] = value
		}
	}
	if description != "" {
		config["description"] = description
	}
	return config
}

// addVolumes adds the images that a configuration names. Each image is added to
// its storage.
func (c *vmCase) addVolumes(config map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(config)) {
		pool, name, found := strings.Cut(strings.SplitN(config[key], ",", 2)[0], ":")
		i := slices.IndexFunc(c.host.Storages, func(s pvetest.Storage) bool { return s.Name == pool })
		if !found || i < 0 || !strings.Contains(name, "/") || strings.Contains(name, "vm-") {
			continue
		}
		volumes := slices.Clone(c.host.Storages[i].Volumes)
		if !slices.ContainsFunc(volumes, func(v pvetest.Volume) bool { return v.Name == name }) {
			drive, _ := storage.ParseDrive(config[key]) // an invalid drive value has no size
			size, _ := drive.Size()
			volumes = append(volumes, pvetest.Volume{Name: name, Size: int64(size), Format: "iso"})
			c.host.Storages[i].Volumes = volumes
		}
	}
}

// spec returns the Spec of the case.
func (c vmCase) spec(t *testing.T, facts workstation.Facts) workstation.Spec {
	t.Helper()
	var spec workstation.Spec
	for _, m := range c.Mappings {
		address, err := iommu.ParseAddress(m.Card)
		if err != nil {
			t.Fatal(err)
		}
		spec.Mappings = append(spec.Mappings, workstation.CardMapping{ID: m.ID, Card: address})
	}
	for _, vm := range c.VMs {
		spec.VMs = append(spec.VMs, vm.vm(t, facts))
	}
	return spec
}

func (c caseVM) vm(t *testing.T, facts workstation.Facts) workstation.VM {
	t.Helper()
	size := func(text string) storage.Size {
		if text == "" {
			return 0
		}
		size, err := storage.ParseSize(text)
		if err != nil {
			t.Fatal(err)
		}
		return size
	}
	a, vm := c.Args, workstation.VM{}
	switch c.Profile {
	case "windows":
		vm = profile.Windows11{ID: a.ID, Name: a.Name, Card: a.Card, Cores: a.Cores, Memory: size(a.Memory), System: size(a.System), Games: size(a.Games),
			Tuning: profile.Tuning{Audio: a.Audio}}.VM()
	case "linux":
		vm = profile.LinuxAI{ID: a.ID, Name: a.Name, Card: a.Card, Cores: a.Cores, Memory: size(a.Memory), System: size(a.System), Models: size(a.Models),
			CloudInit: profile.CloudInit{User: a.CloudInit.User}}.VM()
	case "macos":
		mac := profile.MacOS{ID: a.ID, Name: a.Name, Release: a.Release, Stage: profile.MacStage(a.Stage), Cores: a.Cores, Memory: size(a.Memory), OpenCore: a.OpenCore, OSK: proxstation.NewSecret(c.OSK)}
		for _, card := range facts.Cards() {
			if card.Address().String() == c.Card {
				mac.Card = card
			}
		}
		vm = mac.VM()
	default:
		t.Fatalf("no profile %q", c.Profile)
	}
	for i, disk := range vm.Disks {
		vm.Disks[i].Slot = cmp.Or(c.Edit.Slots[disk.Slot], disk.Slot)
	}
	maps.Copy(vm.Config, c.Edit.Config)
	return vm
}

// connect returns the node of the case and a client of it. Answers in the
// folder "overlay" replace the node's own answers.
func (c vmCase) connect(t *testing.T) (*pvetest.Node, *workstation.Node) {
	t.Helper()
	sim := pvetest.New(c.host, nil)
	endpoint := workstation.Endpoint{URL: sim.URL(), Username: cmp.Or(c.User, "root@pam"), Password: cmp.Or(c.Password, "secret"), Transport: overlay{filepath.Join(c.dir, "overlay"), sim.Transport()}}
	node, err := workstation.Connect(t.Context(), endpoint, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	return sim, node
}

// An overlay answers requests from files with names such as
// "GET_nodes_pve_disks_list".
type overlay struct {
	dir  string
	node http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (o overlay) RoundTrip(r *http.Request) (*http.Response, error) {
	name := strings.ReplaceAll(r.Method+strings.TrimPrefix(r.URL.Path, "/api2/json"), "/", "_")
	for _, name := range []string{name + "_Q_" + r.URL.RawQuery, name} {
		text, err := os.ReadFile(filepath.Join(o.dir, name))
		if err != nil {
			continue
		}
		status := http.StatusOK
		if line, rest, found := bytes.Cut(text, []byte("\n")); found && bytes.HasPrefix(line, []byte("status: ")) {
			status, err = strconv.Atoi(strings.Fields(string(line))[1])
			text = rest
		}
		return &http.Response{StatusCode: status, Status: strconv.Itoa(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/json"}, "Server": {"pve-api-daemon/3.0"}}, Body: io.NopCloser(bytes.NewReader(text)), ContentLength: int64(len(text))}, err
	}
	return o.node.RoundTrip(r)
}

// casesOfPeople is a directory beside the checkout, with one folder for each
// case. The directory is not part of the project, but CI has it. The most
// important cases were written anew for testdata.
const casesOfPeople = "../../shared/cases/vms"

// A right is the expected result of a case.
type right struct {
	steps    string // the keys that the plan changes, in order; "" is an empty plan
	findings string // IDs that must be among the findings
	boots    string // the first device of the boot order after the plan
	keeps    string // keys whose values must not change
	says     string // text that the plan must contain
	refused  string // text that Diff's error must contain
}

var rights = map[string]right{
	"tuned-on-sata":                   {"", "", "sata1", "cores memory args cpu net0 smbios1", "", ""},
	"loader-on-ide-gets-igpu":         {"hostpci0 machine vga", "workstation.boot-ide macos.machine", "ide0", "args virtio0", "rename the key ide0 to sata0", ""},
	"ehci-keyboard-gets-igpu":         {"hostpci0 machine vga", "workstation.args", "", "", "only q35 has the bus ehci.0", ""},
	"starts-from-its-own-nvme":        {"pve hostpci1 memory", "", "hostpci0", "hostpci0 boot scsi0", "mapping=rtx,pcie=1", ""},
	"old-letters-and-a-new-disk":      {"boot scsi1", "", "sata0", "machine net0 sata0", "order=sata0", ""},
	"second-disk-without-a-driver":    {"ide1", "workstation.slot", "ide0", "bios boot machine net0", "Windows has no driver", ""},
	"starts-from-its-sata-controller": {"pve hostpci1 sata0", "workstation.slot", "hostpci0", "hostpci0 boot machine vga", "Windows has no driver", ""},
	"template":                        {"pve hostpci0", "workstation.template", "scsi0", "scsi0 template", "", ""},
	"linked-clone":                    {"pve hostpci0 scsi1", "", "virtio0", "virtio0 boot", "", ""},
	"usb-stick-loader-opencore":       {"hostpci0 machine vga", "workstation.args", "usb0", "", "only q35 has the bus ehci.0", ""},
	"nvme-boot-and-card-second":       {"pve hostpci0", "switch.host-storage", "hostpci1", "hostpci1 boot vga", "", ""},
	"esxi-import-bios-sata":           {"pve hostpci0 sata1", "workstation.unused workstation.slot", "sata0", "scsihw net0 boot", "mapping=rtx\n", ""},
	"pflash-args-seabios":             {"pve hostpci0 ide1", "", "ide0", "args boot net0", "", ""},
	"opencore-boot-on-virtio-blk":     {"hostpci0 machine vga", "macos.machine", "virtio1", "args virtio0 virtio1 net0", "", ""},
	"two-systems-dual-disk":           {"pve hostpci0 scsi2", "", "scsi1", "scsi0 boot", "", ""},
	"cloud-init-with-its-address":     {"ciuser", "", "scsi0", "ipconfig0 ide0", "", ""},

	"01-win11-igpu-two-functions":    {"pve", "workstation.card-split", "scsi0", "hostpci0 hostpci1 memory description usb0 smbios1 vmgenid", "qm set 140 --delete hostpci1", ""},
	"02-win10-virtio0-legacy-boot":   {"pve", "workstation.card-split", "virtio0", "cpu cpuunits numa boot bootdisk", "", ""},
	"04-win11-ide0-system-npu":       {"", "", "ide0", "args ide0", "", ""},
	"06-kvmopencore-monterey":        {"memory", "", "ide2", "args virtio0 cpu", "", ""},
	"08-opencore-iso-sata":           {"args memory", "", "sata0", "sockets vcpus cpu", "", ""},
	"09-p330-uhd630-win11-argsset":   {"", "", "scsi0", "args", "", ""},
	"13-strings-for-numbers":         {"", "", "", "", "", ""},
	"18-token-sees-no-vm":            {"+", "workstation.vm-unseen", "", "", "", ""},
	"21-antidetect-args-sata":        {"memory", "", "sata0", "args smbios1 audio0 cpu net0", "4048 -> 4096", ""},
	"28-cloudinit-linux-ai":          {"", "", "scsi0", "ipconfig0 ide0 hostpci0", "", ""},
	"29-macos-legacy-igd-on-q35":     {"machine", "macos.machine", "sata0", "hostpci0", "", ""},
	"30-linux-secureboot-keys":       {"", "workstation.secure-boot", "scsi0", "", "mokutil", ""},
	"31-thin-pool-97-percent":        {"+", "", "", "", "", ""},
	"33-usb-and-nvme-controller":     {"", "switch.host-storage", "scsi0", "hostpci1 hostpci2", "/dev/nvme0", ""},
	"33b-same-in-spec":               {"", "switch.host-storage", "scsi0", "", "", ""},
	"42-null-lists-and-empty-bodies": {"", "", "", "", "", "no place"},
	"44-osxproxmox-head-sequoia":     {"", "", "ide0", "args", "", ""},
	"44b-same-on-card":               {"hostpci0 machine vga", "workstation.boot-ide macos.machine", "ide0", "args", "rename the key ide0 to sata0", ""},
	"45-osx-proxmox-next":            {"", "workstation.slot", "ide2", "smbios1 boot ide0 ide2", "", ""},
	"48-unset-fields-shrink-a-vm":    {"", "", "sata0", "cores memory args cpu hostpci0", "", ""},
}

// Some findings are about two VMs of a case. This map holds the expected text
// for each case that has such a finding.
var claims = map[string]string{
	"03-mdev-i440fx":     "gpu.shared-card VMs 100 and 102",
	"19-vfio-in-args":    "gpu.args-card VMs 130 and 140",
	"38-args-uuid-twins": "gpu.same-uuid VMs 100 and 101",
	"39-three-gpus-hive": "gpu.shared-card VMs 150 and 151",
}

// TestCases plans, applies, plans again and restores the VMs of each case. It
// compares the findings with the findings that the README in the case's folder
// expects.
func TestCases(t *testing.T) {
	t.Parallel()
	for _, dir := range caseDirs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { readCase(t, dir).play(t) })
		})
	}
}

// caseDirs returns the folders of all cases: first the folders in testdata,
// then the folders in casesOfPeople.
func caseDirs(t *testing.T) []string {
	t.Helper()
	theirs, err := filepath.Glob(casesOfPeople + "/*/case.json")
	if err == nil && len(theirs) == 0 && os.Getenv("CI") != "" {
		err = errors.New("CI must have the cases of people")
	}
	files, mineErr := filepath.Glob("testdata/vms/*/case.json")
	if err := errors.Join(err, mineErr); err != nil || len(files) == 0 {
		t.Fatalf("%d folders, %v", len(files), err)
	}
	var dirs []string
	for _, file := range append(files, theirs...) {
		dirs = append(dirs, filepath.Dir(file))
	}
	return dirs
}

func (c vmCase) play(t *testing.T) {
	sim, node := c.connect(t)
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id := range facts.VMs {
		c.adopts(t, facts, id)
	}
	right, known := rights[filepath.Base(c.dir)]
	if want := claims[filepath.Base(c.dir)]; want != "" && !slices.ContainsFunc(facts.PCI().CheckClaims(facts.Claims()), func(f proxstation.Finding) bool { return f.ID+" "+f.Subject == want }) {
		t.Errorf("%v, want %s", facts.PCI().CheckClaims(facts.Claims()), want)
	}
	spec := c.spec(t, facts)
	if len(spec.VMs) == 0 {
		return
	}
	p, err := workstation.Diff(spec, facts)
	if right.refused != "" {
		if err == nil || !strings.Contains(err.Error(), right.refused) {
			t.Errorf("%v, want %q", err, right.refused)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if !known {
		t.Error("nobody says what is right")
	}
	if got := stepKeys(p); known && got != right.steps {
		t.Errorf("the plan changes %q, want %q\n%s", got, right.steps, p)
	}
	for _, id := range strings.Fields(right.findings) {
		if !hasFindings(p, id) {
			t.Errorf("no finding %s in\n%s", id, p)
		}
	}
	if !strings.Contains(p.String(), right.says) {
		t.Errorf("the plan does not say %q:\n%s", right.says, p)
	}
	if proxstation.Worst(p.Findings) == proxstation.Blocker {
		if err := node.Apply(t.Context(), p, nil); !errors.Is(err, workstation.ErrBlocked) {
			t.Errorf("a plan with a blocker: %v", err)
		}
		return
	}
	c.thereAndBack(t, sim, node, facts, spec, p, right)
}

// stepKeys returns the keys that a plan changes, and "+" for a VM that it
// makes.
func stepKeys(p workstation.Plan) string {
	var keys []string
	for i, change := range p.Changes() {
		if _, makes := p.Steps[i].(workstation.CreateVM); makes {
			keys = append(keys, "+")
			continue
		}
		for _, line := range change.Lines {
			keys = append(keys, line.Key)
		}
	}
	return strings.Join(slices.Compact(keys), " ")
}

// thereAndBack applies a plan, checks that a second plan is empty, and restores
// the old configuration.
func (c vmCase) thereAndBack(t *testing.T, sim *pvetest.Node, node *workstation.Node, facts workstation.Facts, spec workstation.Spec, p workstation.Plan, right right) {
	before := facts.Snapshot()
	was := map[int]map[string]string{}
	for id := range facts.VMs {
		state, _ := sim.VM(id)
		was[id] = state.Config
	}
	if err := node.Apply(t.Context(), p, nil); err != nil {
		t.Fatalf("%v\n%s", err, p)
	}
	if again := plan(t, node, spec); !again.Empty() {
		t.Errorf("a second plan is not empty:\n%s", again)
	}
	for _, vm := range spec.VMs {
		state, _ := sim.VM(vm.ID)
		for _, key := range strings.Fields(right.keeps) {
			if was[vm.ID][key] != state.Config[key] {
				t.Errorf("%s was %q and is %q", key, was[vm.ID][key], state.Config[key])
			}
		}
		order, ordered := strings.CutPrefix(state.Config["boot"], "order=")
		if first, _, _ := strings.Cut(order, ";"); right.boots != "" && ordered && first != right.boots {
			t.Errorf("it starts from %s, want %s", first, right.boots)
		}
	}
	after, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back, err := workstation.RestorePlan(before, after)
	if err != nil {
		t.Fatal(err)
	}
	if proxstation.Worst(back.Findings) == proxstation.Blocker {
		return // the old configuration itself has a blocker
	}
	if err := node.Apply(t.Context(), back, nil); err != nil {
		t.Fatalf("%v\n%s", err, back)
	}
	for id, config := range was {
		state, _ := sim.VM(id)
		for key := range state.Config {
			if _, had := config[key]; !had && hasFindings(back, "restore.disk-added") && qmconf.IsSlot(key) {
				delete(state.Config, key) // a restore never removes a disk
			}
		}
		if hasFindings(back, "restore.boot-kept") {
			state.Config["boot"] = config["boot"]
		}
		if !maps.Equal(state.Config, config) {
			t.Errorf("VM %d is restored to\n%s\nnot\n%s", id, lines(state.Config), lines(config))
		}
	}
}

// This checks that the plan for the Spec of an adopted VM is empty.
func (c vmCase) adopts(t *testing.T, facts workstation.Facts, id int) {
	t.Helper()
	spec, err := workstation.Adopt(facts, id)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	var kept workstation.Spec
	if err := json.Unmarshal(text, &kept); err != nil {
		t.Fatal(err)
	}
	specs := map[string]workstation.Spec{"as data": spec, "as text": kept}
	adopted, err := profile.Adopt(facts, id)
	if err != nil {
		t.Fatal(err)
	}
	if adopted.Profile != nil {
		specs["by its profile"] = workstation.Spec{VMs: []workstation.VM{adopted.Profile.VM()}}
	}
	for name, s := range specs {
		if p, err := workstation.Diff(s, facts); err != nil || !p.Empty() {
			t.Errorf("VM %d adopted %s: %v\n%s", id, name, err, p)
		}
	}
	if key := macosKey.FindString(fmt.Sprintf("%s %#v", text, adopted)); key != "" {
		t.Errorf("VM %d adopted: the text shows the key: %s", id, key)
	}
}

var macosKey = regexp.MustCompile(`ourSECRET\w+`)
