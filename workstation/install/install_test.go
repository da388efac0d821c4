package install_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A desktop simulates a guest that installs itself, and the guest's agent.
type desktop struct {
	sim *pvetest.Node
	id  int
	// If cd is true, somebody has to press a key at the first start, as with
	// Windows' CD.
	cd bool
	// installs is the time until the agent answers.
	installs time.Duration
	// These are the states that the set-up writes, a new state every minute
	// after the agent answers. The last state stays.
	says []string
	// These are the states after the set-up was started again.
	then []string
	// If off is true, the guest shuts down at its first start.
	off bool

	mu    sync.Mutex
	began time.Time // the time of the guest's first start
	disk  bool      // the system is installed
	files map[string]string
	ran   []string
	open  string
}

// keys returns the number of key presses that the node received.
func (d *desktop) keys() int {
	n := 0
	for _, r := range d.sim.Trace() {
		if r.Method == "PUT" && path.Base(r.Path) == "sendkey" {
			n++
		}
	}
	return n
}

// This reports whether the agent answers, and for how long it has answered.
func (d *desktop) up() (time.Duration, bool) {
	vm, _ := d.sim.VM(d.id)
	if d.began.IsZero() {
		d.began = vm.Since
	}
	if d.off && vm.Running {
		_ = d.sim.PowerOff(d.id)
		return 0, false
	}
	if !d.disk {
		if d.cd && d.keys() < 5 || vm.Since.Sub(d.began) > 0 {
			return 0, false
		}
		d.disk = time.Since(vm.Since) >= d.installs
		return 0, d.disk
	}
	return time.Since(d.began) - d.installs, time.Since(vm.Since) > 30*time.Second
}

var errNoFile = errors.New("failed to open file: No such file or directory")

func (d *desktop) Execute(_ context.Context, command string, arguments json.RawMessage) (json.RawMessage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	since, up := d.up()
	if !up {
		return nil, pvetest.ErrNoAgent
	}
	var args struct {
		Path  string
		Mode  string
		Arg   []string
		Data  []byte `json:"buf-b64"`
		Input []byte `json:"input-data"`
	}
	if arguments != nil {
		if err := json.Unmarshal(arguments, &args); err != nil {
			return nil, err
		}
	}
	switch command {
	case "guest-ping", "guest-file-close":
		return json.RawMessage("{}"), nil
	case "guest-file-open":
		d.open = args.Path
		if args.Mode == "w" {
			return json.RawMessage("1000"), nil
		}
		if base := path.Base(strings.ReplaceAll(args.Path, `\`, "/")); base == "firstboot.state" && d.files[args.Path] == "" {
			if since < time.Minute {
				return nil, errNoFile
			}
			d.files[args.Path] = d.says[min(int(since/time.Minute)-1, len(d.says)-1)]
			defer delete(d.files, args.Path)
			d.files["now"] = d.files[args.Path]
		} else if d.files["now"] = d.files[args.Path]; d.files["now"] == "" {
			return nil, errNoFile
		}
		return json.RawMessage("1000"), nil
	case "guest-file-read":
		return json.Marshal(map[string]any{"count": len(d.files["now"]), "buf-b64": []byte(d.files["now"]), "eof": true})
	case "guest-file-write":
		d.files[d.open] = string(args.Data)
		return json.Marshal(map[string]any{"count": len(args.Data)})
	case "guest-exec":
		d.ran = append(d.ran, strings.Join(append([]string{args.Path}, args.Arg...), " "))
		if slices.Contains(args.Arg, "restart") || slices.Contains(args.Arg, "register") {
			delete(d.files, firstboot.LinuxState)
			delete(d.files, firstboot.WindowsState)
			if d.then != nil {
				d.says = d.then
			}
		}
		if slices.Contains(args.Arg, "games") {
			d.says = []string{"phase=done\ngames=formatted\n"}
		}
		return json.RawMessage(`{"pid":7}`), nil
	case "guest-exec-status":
		return json.Marshal(map[string]any{"exited": true, "exitcode": 0, "out-data": []byte(d.prints())})
	}
	return nil, errors.New("The command " + command + " has not been found")
}

// This returns the output of the last command.
func (d *desktop) prints() string {
	last := d.ran[len(d.ran)-1]
	switch {
	case strings.Contains(last, "nvidia-smi"):
		return "NVIDIA GeForce RTX 5070 Ti, 581.15\n"
	case strings.Contains(last, "Get-Volume"):
		return "Games\n"
	case strings.HasSuffix(last, "--get-id"):
		return "123456789\n"
	}
	return "rustdesk: version 1.4.7\nrustdesk: service running\nrustdesk: id 123456789\nrustdesk: done\n"
}

// A homelab is a node with images, a mapping of its card, and guests in its
// VMs.
type homelab struct {
	t        *testing.T
	sim      *pvetest.Node
	node     *workstation.Node
	windows  *desktop
	linux    *desktop
	spec     workstation.Spec
	guests   []install.Guest
	told     []string
	progress func(workstation.Event)
	ctx      context.Context // the context for calls of Apply
}

const password = "correct horse battery"

// These are the privileges that are needed to observe everything.
var looks = []string{"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit"}

// newHomelab returns a homelab. Without needs, its login is root. With needs,
// the login has these privileges and may observe everything.
func newHomelab(t *testing.T, needs ...workstation.Privilege) *homelab {
	t.Helper()
	h := &homelab{t: t, ctx: t.Context(),
		windows: &desktop{id: 140, cd: true, installs: 40 * time.Minute, files: map[string]string{}, says: []string{"phase=agent\n", "phase=games\nsystem=10.0.26100\n"}},
		linux: &desktop{id: 141, installs: 2 * time.Minute, files: map[string]string{firstboot.LinuxLog: "== driver\nE: no such package\n"},
			says: []string{"phase=agent\n", "phase=driver\nmodels=formatted\n", "phase=done\nmodels=formatted\ndriver=580.126\n"}}}
	host := pvetest.Reference()
	privileges := map[string][]string{"/": slices.Clone(looks)}
	for _, p := range needs {
		name, _, _ := strings.Cut(p.Name, "|")
		if len(privileges[p.Path]) == 0 {
			privileges[p.Path] = slices.Clone(looks) // because in PVE the privileges of "/" do not count on a path with its own privileges
		}
		privileges[p.Path] = append(privileges[p.Path], name)
	}
	host.Users = []pvetest.User{{ID: "ops@pve", Privileges: privileges, Tokens: []pvetest.Token{{ID: "do", Secret: "a-secret"}}}}
	h.sim = pvetest.New(host, &pvetest.Options{Agents: map[int]pvetest.Agent{140: h.windows, 141: h.linux}})
	h.windows.sim, h.linux.sim = h.sim, h.sim
	endpoint := workstation.Endpoint{URL: h.sim.URL(), Username: "root@pam", Password: "secret", Transport: h.sim.Transport()}
	if needs != nil {
		endpoint.Username, endpoint.Password, endpoint.Token = "", "", "ops@pve!do=a-secret"
	}
	var err error
	h.node, err = workstation.Connect(t.Context(), endpoint, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	card, err := iommu.ParseAddress("0000:01:00.0")
	if err != nil {
		t.Fatal(err)
	}
	h.spec = workstation.Spec{
		Mappings: []workstation.CardMapping{{ID: "rtx", Card: card}},
		VMs: []workstation.VM{
			profile.Windows11{Games: 100 * storage.GiB, Card: "rtx", Install: "local:iso/Win11_25H2_English_x64.iso", Drivers: "local:iso/virtio-win-0.1.285.iso"}.VM(),
			profile.LinuxAI{Models: 80 * storage.GiB, Card: "rtx", Image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2"}.VM(),
		},
	}
	h.guests = []install.Guest{
		{VMID: 140, Windows: &firstboot.Windows11{ComputerName: "GAMES", User: "me", Password: proxstation.NewSecret(password), Games: &firstboot.GamesDisk{Slot: "scsi1"}}, RustDesk: &rustdesk.Setup{}},
		{VMID: 141, Linux: &firstboot.LinuxAI{HostName: "linux-ai", User: "me", Password: proxstation.NewSecret(password), Models: &firstboot.ModelsDisk{Slot: "scsi1"}, NVIDIA: true}, RustDesk: &rustdesk.Setup{}},
	}
	h.progress = func(e workstation.Event) {
		h.told = append(h.told, fmt.Sprintf("%d %s: %s", e.VMID, e.Phase, e.Message))
	}
	return h
}

func (h *homelab) facts() workstation.Facts {
	h.t.Helper()
	facts, err := h.node.Observe(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return facts
}

func (h *homelab) plan() install.Plan {
	h.t.Helper()
	plan, err := install.Diff(h.spec, h.guests, h.facts())
	if err != nil {
		h.t.Fatal(err)
	}
	return plan
}

func (h *homelab) apply(plan install.Plan) ([]install.Report, error) {
	return install.Apply(h.ctx, h.node, plan, &install.Options{Progress: h.progress})
}

// seeds returns the seeds on the node's storages and in drives of VMs.
func (h *homelab) seeds() []string {
	h.t.Helper()
	var found []string
	facts := h.facts()
	for _, pool := range facts.Pools {
		for _, v := range pool.Images {
			if strings.Contains(v.ID, "firstboot-") {
				found = append(found, v.ID)
			}
		}
	}
	for id, vm := range facts.VMs {
		for key, value := range vm.Config {
			if strings.Contains(value, "firstboot-") {
				found = append(found, fmt.Sprintf("VM %d %s: %s", id, key, value))
			}
		}
	}
	return found
}

// Two new guests are set up one after the other: first Windows, then Linux,
// which wants the same card.
func TestInstallBoth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		plan := h.plan()
		text := seedHash.ReplaceAllString(plan.String(), "-HASH.iso")
		before, rest, _ := strings.Cut(text, "\nStorages") // package workstation prints the storages and findings in between
		_, after, _ := strings.Cut(rest, "\nThen ")
		golden(t, "plan.txt", before+"\nThen "+after)
		reports, err := h.apply(plan)
		if err != nil {
			t.Fatal(err)
		}
		var phases []string
		for _, line := range h.told {
			if phase, _, _ := strings.Cut(line, ":"); len(phases) == 0 || phases[len(phases)-1] != phase {
				phases = append(phases, phase)
			}
		}
		golden(t, "phases.txt", strings.Join(phases, "\n")+"\n")
		if len(reports) != 2 || reports[0].RustDesk.ID != "123456789" || reports[0].Found["games"] != "formatted" || reports[1].Found["driver"] != "580.126" {
			t.Errorf("reports %+v", reports)
		}
		if left := h.seeds(); len(left) != 0 {
			t.Errorf("seeds are left: %q", left)
		}
		if n := h.windows.keys(); n != 15 {
			t.Errorf("a key was pressed %d times, want 15, at the first start only", n)
		}
		vm, _ := h.sim.VM(140)
		for key, want := range map[string]string{"hostpci0": "mapping=rtx", "scsi1": "service-pool:", "net0": "link_down=0"} {
			if !strings.Contains(vm.Config[key], want) {
				t.Errorf("%s of Windows is %q, want %s in it", key, vm.Config[key], want)
			}
		}
		if running := h.sim.Running(); !slices.Equal(running, []int{141}) {
			t.Errorf("%d run: want the last, which has the card", running)
		}
		if again := h.plan(); !again.Empty() {
			t.Errorf("the second plan is not empty:\n%s", again)
		}
		h.secretsKept(plan)
		if err := h.sim.Check(); err != nil {
			t.Error(err)
		}
	})
}

// A guest with a fixed IP address gets a network card with the MAC address that
// its seed names.
func TestAddressBelongsToTheCard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHomelab(t)
		h.only(1)
		h.guests[0].Linux.Network = firstboot.Network{Address: netip.MustParsePrefix("192.168.1.41/24"), Gateway: netip.MustParseAddr("192.168.1.1")}
		plan := h.plan()
		chosen := regexp.MustCompile(`macaddr=(BC:24:11:[0-9A-F:]{8})`).FindStringSubmatch(plan.First.String())
		if _, err := h.apply(plan); err != nil || chosen == nil {
			t.Fatalf("%v, %q", err, chosen)
		}
		vm, _ := h.sim.VM(141)
		if !strings.Contains(vm.Config["net0"], chosen[1]) {
			t.Errorf("net0 is %q, want %s", vm.Config["net0"], chosen[1])
		}
		if again := h.plan(); !again.Empty() {
			t.Errorf("the second plan is not empty:\n%s", again)
		}
		own := *h.guests[0].Linux
		own.Network.MAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}
		h = newHomelab(t)
		h.only(1)
		h.guests[0].Linux = &own
		if _, err := h.apply(h.plan()); err != nil {
			t.Fatal(err)
		}
		if vm, _ := h.sim.VM(141); !strings.Contains(vm.Config["net0"], "02:00:00:00:00:01") {
			t.Errorf("net0 is %q", vm.Config["net0"])
		}
	})
}

var seedHash = regexp.MustCompile(`-[0-9a-f]{12}\.iso`)

// secretsKept checks that the password is in no text that others could read.
func (h *homelab) secretsKept(plan install.Plan) {
	h.t.Helper()
	texts := append(slices.Clone(h.told), plan.String(), fmt.Sprintf("%+v %#v", plan, plan))
	for _, r := range h.sim.Trace() {
		if !strings.HasSuffix(r.Path, "/upload") {
			texts = append(texts, fmt.Sprintf("%+v", r))
		}
	}
	for _, text := range texts {
		if strings.Contains(text, password) || strings.Contains(text, "$6$") {
			h.t.Errorf("the password is seen: %s", text)
		}
	}
}

// golden compares text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; after a look: go test ./workstation/install -update\n%s", file, got)
	}
}

var update = flag.Bool("update", false, "write the golden files anew")
