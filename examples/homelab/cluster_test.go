package main

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The tour runs to its end: from an empty cluster to a switch after a node has
// died.
func TestTour(t *testing.T) {
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	l := &lab{t: t}
	if code := l.call("", "tour", "-f", "cluster.yaml", "-speed", "300"); code != 0 {
		t.Fatalf("code %d:\n%s", code, l.said)
	}
	words := strings.Join(strings.Fields(l.said), " ")
	for _, says := range []string{
		"VM 140 windows goes to node pve2: as asked for", "pve3 (refused): it has no card of the kind RTX 5070", "starting VM 140", "starting VM 141",
		"linux-ai pve 141 linux-ai unknown", "may still run there, where nobody sees it", "Nothing is changed until this is done", "# node pve is back # homelab switch windows",
	} {
		if !strings.Contains(words, says) {
			t.Errorf("the tour does not say %q:\n%s", says, l.said)
		}
	}
}

// newRack returns a cluster and a page for it. The environment names the
// cluster by all addresses of its nodes.
func newRack(t *testing.T) (l *lab, sim *pvetest.Cluster) {
	t.Helper()
	var hosts []pvetest.Host
	for _, name := range []string{"pve", "pve2", "pve3"} {
		host := pvetest.Reference()
		host.Name, host.Guests = name, map[int]pvetest.Guest{140: standIn(), 141: standIn()}
		hosts = append(hosts, host)
	}
	l = newLab(t, hosts[0]) // the tests use only the directory and the secrets of this lab
	sim = pvetest.NewCluster(hosts, &pvetest.Options{Speed: 100}).Start()
	t.Cleanup(sim.Close)
	var urls []string
	for _, node := range sim.Nodes() {
		urls = append(urls, node.URL())
	}
	t.Setenv("PROXMOX_VE_ENDPOINT", strings.Join(urls, ","))
	l.ca = filepath.Join(t.TempDir(), "ca.pem")
	text, err := os.ReadFile("cluster.yaml")
	if err == nil {
		err = os.WriteFile(l.page, text, 0o600)
	}
	if err == nil {
		err = os.WriteFile(l.ca, sim.Nodes()[0].CA(), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l, sim
}

// One page with workstations on two of three nodes is planned, saved, applied,
// switched and destroyed. A second run has nothing to do. One address of the
// cluster is enough.
func TestAPageOnSeveralNodes(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	saved := filepath.Join(t.TempDir(), "plan.json")
	l.want(2, "VM 140 windows goes to node pve2: as asked for", "", "plan", "-f", l.page, "-out", saved)
	l.want(0, "linux-ai missing can have it: no", "", "status", "-f", l.page)
	l.want(0, "Done: 3 changes, 0 guests set up.", "", "apply", saved, "-yes")
	l.want(4, "plan is stale", "", "apply", saved, "-yes")
	l.want(0, "nothing to do", "", "plan", "-f", l.page)
	if sim.Where(140) != "pve2" || sim.Where(141) != "pve" {
		t.Errorf("windows is on %s, linux-ai on %s", sim.Where(140), sim.Where(141))
	}
	l.want(0, "VM 141 is up", "", "switch", "-f", l.page, "linux-ai")
	l.want(0, "waiting until VM 141 is gone", "", "switch", "-f", l.page, "windows")
	l.want(3, "PVE does not remove a running VM", "", "destroy", "-f", l.page, "windows", "-yes")
	l.want(3, "running", "", "move", "-f", l.page, "windows", "pve", "-yes")
	l.want(0, "Done: 1 change,", "", "move", "-f", l.page, "linux-ai", "pve2", "-yes", "-speed", "110M")
	l.want(0, "nothing to do", "", "move", "-f", l.page, "linux-ai", "pve2", "-yes")
	l.want(1, "NAME NODE", "", "move", "-f", l.page, "linux-ai")
	if sim.Where(141) != "pve2" {
		t.Errorf("linux-ai is on %s", sim.Where(141))
	}
	l.want(0, "Done", "", "destroy", "-f", l.page, "windows", "linux-ai", "-shutdown", "-yes")
	if err := sim.Check(); err != nil || sim.Where(140)+sim.Where(141) != "" {
		t.Errorf("windows is on %q, linux-ai on %q: %v", sim.Where(140), sim.Where(141), err)
	}
}

func TestTheStatusOfACluster(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	sim.Down("pve2")
	var v statusView
	if code := l.call("", "status", "-f", l.page, "-json"); code != 0 || json.Unmarshal([]byte(l.said), &v) != nil {
		t.Fatalf("code %d:\n%s", code, l.said)
	}
	states := map[string]string{}
	for _, s := range v.Workstations {
		states[s.Name] = s.Node + " " + s.State
	}
	if states["windows"] != "pve2 unknown" || states["linux-ai"] != "pve off" || len(v.Nodes) != 3 || v.Nodes[1].State != "away" {
		t.Errorf("%v, nodes %v", states, v.Nodes)
	}
	l.want(3, "may still run there", "", "switch", "-f", l.page, "linux-ai")
	l.want(3, "has seen that node pve2 is off, add -node-off pve2 to the switch.", "", "switch", "-f", l.page, "linux-ai")
	l.want(3, "the cluster sees it", "", "switch", "-f", l.page, "linux-ai", "-node-off", "pve2", "-node-off", "pve")
	l.want(0, "VM 141", "", "switch", "-f", l.page, "linux-ai", "-node-off", "pve2")
	sim.Down("pve3")
	l.want(3, "quorum", "", "switch", "-f", l.page, "linux-ai", "-force")
}

// twoNodes is a page with one workstation on node A and one on node B. The
// method place replaces A and B.
const twoNodes = `cards:
  rtx: {model: RTX 5070, mapping: gpu}
workstations:
  a: {id: 140, profile: linux-ai, memory: 8GiB, card: rtx, node: A}
  b: {id: 141, profile: linux-ai, memory: 8GiB, card: rtx, node: B}
dualboot:
  rtx: {members: [a, b]}
`

// place writes the page twoNodes, with the names of two real nodes.
func (l *lab) place(a, b string) {
	l.t.Helper()
	if err := os.WriteFile(l.page, []byte(strings.NewReplacer("node: A", "node: "+a, "node: B", "node: "+b).Replace(twoNodes)), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

// If the page or a flag names a node, the program uses this node or refuses.
func TestNodesThatDoNotFit(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.place("pve2", "nope")
	l.want(1, `workstations.b.node: no such node: "nope" is not among the nodes pve, pve2, pve3`, "", "plan", "-f", l.page)
	l.place("pve2", "pve2")
	for _, command := range []string{"plan", "status", "check"} {
		l.want(1, "-node pve: the page wants a on node pve2: leave the flag out", "", command, "-f", l.page, "-node", "pve")
	}
	l.want(2, "Plan for node pve2: 3 to add", "", "plan", "-f", l.page, "-node", "pve2")
	l.want(1, "-embedded-nodes 0: want 1 or more", "", "plan", "-f", l.page, "-embedded-nodes", "0")
	for _, nodes := range []string{"1", "3"} {
		l.want(1, "-embedded-nodes would have no effect, because PROXMOX_VE_ENDPOINT is set", "", "status", "-f", l.page, "-embedded-nodes", nodes)
	}
	sim.Down("pve2")
	l.want(1, "node pve2 is away: the nodes that are online are pve, pve3", "", "plan", "-f", l.page, "-node", "pve2")
}

// On a node without a cluster, a workstation on another node is an error. The
// program does not leave it out silently.
func TestAnotherNodeWithoutACluster(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference())
	l.place("pve", "pve2")
	l.want(1, `workstations.b.node: no such node: "pve2" is not among the nodes pve`, "", "apply", "-f", l.page, "-yes")
	l.state(nil, nil)
	l.place("pve", "pve")
	l.want(2, "Plan for node pve: 3 to add", "", "plan", "-f", l.page)
}

// The output names the parts that could not be read, even if it contains
// nothing else.
func TestWorkstationsThatAreAway(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.place("pve2", "pve2")
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	sim.Down("pve2")
	l.want(1, "/cluster/status: online is 0", "", "plan", "-f", l.page)
	l.want(1, "it is on node pve2: it is away", "", "apply", "-f", l.page, "-yes")
	l.want(1, "nothing was planned for a, b, for the reasons above", "", "check", "-f", l.page)
	l.want(1, "nothing was planned for a, b", "", "check", "-f", l.page, "-json")
}

// If a new workstation names a node that is away, the plan leaves this
// workstation out. The other workstations are planned and made, and the exit
// code says that the plan was incomplete. When the node is back, the next run
// makes the missing workstation.
func TestANewWorkstationOnANodeThatIsAway(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.place("pve2", "pve3")
	sim.Down("pve3")
	var v planView
	if code := l.call("", "plan", "-f", l.page, "-json"); code != 1 || json.NewDecoder(strings.NewReader(l.said)).Decode(&v) != nil {
		t.Fatalf("code %d:\n%s", code, l.said)
	}
	if len(v.Unplanned) != 1 || v.Unplanned[0] != "b" || v.Empty || v.Blocked {
		t.Errorf("unplanned %v, empty %t, blocked %t: want b, and changes for a", v.Unplanned, v.Empty, v.Blocked)
	}
	plan := filepath.Join(t.TempDir(), "plan.json")
	l.want(1, "node pve3: it is away", "", "plan", "-f", l.page, "-out", plan)
	if !strings.Contains(l.said, "nothing was planned for b, for the reasons above") || !strings.Contains(l.said, "VM 140 a goes to node pve2") {
		t.Errorf("the plan does not say what it has and what it lacks:\n%s", l.said)
	}
	l.want(1, "Done: 2 changes", "", "apply", plan, "-yes")
	if sim.Where(140) != "pve2" || sim.Where(141) != "" {
		t.Errorf("a is on %q, b on %q", sim.Where(140), sim.Where(141))
	}
	sim.Up("pve3")
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	l.want(0, "nothing to do", "", "plan", "-f", l.page)
	if sim.Where(141) != "pve3" {
		t.Errorf("b is on %q", sim.Where(141))
	}
}

// If a removal is blocked, no workstation is shut down.
func TestDestroyOnACluster(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.place("pve2", "pve")
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	l.want(0, "VM 141 is up", "", "switch", "-f", l.page, "b")
	sim.Down("pve2")
	l.want(1, "VM 140: node pve2 is away: nothing was changed", "", "destroy", "-f", l.page, "-shutdown", "-yes", "b", "a")
	if len(sim.Node("pve").Running()) != 1 {
		t.Error("VM 141 was shut down for a removal that was refused")
	}
	sim.Up("pve2")
	l.want(0, "Done", "", "destroy", "-f", l.page, "-yes", "a")
	l.want(1, "VM 140 on the cluster: not found", "", "destroy", "-f", l.page, "-shutdown", "-yes", "b", "a")
	if len(sim.Node("pve").Running()) != 1 {
		t.Error("VM 141 was shut down for a removal that was refused")
	}
}

// Guests that set themselves up on two nodes also take turns: the first guest
// is off when the second guest starts. The output and the saved plan hold no
// secret.
func TestSetUpsOnTwoNodes(t *testing.T) { //nolint:paralleltest // the environment is the test's
	if testing.Short() {
		t.Skip("plays in real time")
	}
	l, sim := newRack(t)
	l.place("pve", "pve2")
	text, err := os.ReadFile(l.page)
	if err == nil {
		text = []byte(strings.ReplaceAll(string(text), "card: rtx, ", `card: rtx, image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2", user: {name: me, password: "env:WINDOWS_PASSWORD"}, `))
		err = os.WriteFile(l.page, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(t.TempDir(), "plan.json")
	l.want(2, "Plan for node pve2", "", "plan", "-f", l.page, "-out", plan)
	l.want(0, "2 guests set up", "", "apply", plan, "-yes")
	if on, off := sim.Node("pve2").Running(), sim.Node("pve").Running(); len(on) != 1 || len(off) != 0 {
		t.Errorf("pve runs %v, pve2 runs %v: want only the second guest", off, on)
	}
	if saved, err := os.ReadFile(plan); err != nil || strings.Contains(string(saved), secrets["WINDOWS_PASSWORD"]) {
		t.Errorf("the saved plan holds a secret, or %v", err)
	}
}

// A guest is not set up while a member of its set runs on another node, or may
// run on a node that is away. Nothing is changed then.
func TestSetUpWhileAnotherMemberRunsElsewhere(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.place("pve", "pve2")
	text, err := os.ReadFile(l.page)
	if err != nil {
		t.Fatal(err)
	}
	alone, _, _ := strings.Cut(string(text), "  b: ")
	if err := os.WriteFile(l.page, []byte(alone), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	if err := sim.Node("pve").PowerOn(140); err != nil {
		t.Fatal(err)
	}
	whole := strings.Replace(string(text), "node: pve2", `image: "local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2", user: {name: me, password: "env:WINDOWS_PASSWORD"}, node: pve2`, 1)
	if err := os.WriteFile(l.page, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(3, "VM 140 a runs on node pve", "", "plan", "-f", l.page)
	l.want(3, "a set-up shuts no other VM down", "", "apply", "-f", l.page, "-yes")
	l.want(1, "-node-off pve: the node is online, not away", "", "apply", "-f", l.page, "-yes", "-node-off", "pve")
	l.want(1, "-node-off pve9: no such node", "", "apply", "-f", l.page, "-yes", "-node-off", "pve9")
	sim.Down("pve")
	l.want(3, "VM 140 a is on node pve, which is away", "", "apply", "-f", l.page, "-yes")
	l.want(1, "+ VM 141 b", "", "plan", "-f", l.page, "-node-off", "pve") // the code is 1, because nothing is planned for a
	if sim.Where(141) != "" {
		t.Errorf("VM 141 is on %q", sim.Where(141))
	}
}

// haPage is a page with two workstations under high availability. The page asks
// the HA manager to run only the workstation a.
const haPage = `workstations:
  a: {id: 140, profile: linux-ai, memory: 4GiB, node: pve, ha: {state: started, nodes: {pve: 0, pve2: 0}, strict: true, apart: b}}
  b: {id: 141, profile: linux-ai, memory: 4GiB, node: pve2, ha: {}}
`

// One plan holds the VMs and their high availability. PVE gets the requests for
// high availability after the VMs are made. The next plan finds nothing to do.
// A workstation whose node is away is left out.
func TestHighAvailability(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	if err := os.WriteFile(l.page, []byte(haPage), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(t.TempDir(), "plan.json")
	l.want(2, "+ high availability of VM 140 + state started", "", "plan", "-f", l.page, "-out", plan)
	for _, says := range []string{"+ rule nodes-140 of high availability", "+ rule apart-140-141 of high availability", "VM 140, VM 141", "+ state stopped", "(cluster.ha-no-recovery)"} {
		if words := strings.Join(strings.Fields(l.said), " "); !strings.Contains(words, says) {
			t.Errorf("the plan does not say %q:\n%s", says, l.said)
		}
	}
	l.want(0, "Done: 6 changes", "", "apply", plan, "-yes")
	l.want(0, "nothing to do", "", "plan", "-f", l.page)
	l.want(3, "rule nodes-140 allows only pve, pve2", "", "move", "-f", l.page, "a", "pve3", "-yes")
	if err := os.WriteFile(l.page, []byte(strings.Replace(haPage, "apart: b", "together: b", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	sim.Down("pve2")
	l.want(1, "nothing was planned for b", "", "plan", "-f", l.page) // b is left out, so no rule is planned with b
	sim.Up("pve2")
	l.want(1, "rule apart-140-141 keeps VM 140, VM 141 apart", "", "plan", "-f", l.page) // the page removes no rule
}

func TestHighAvailabilityThatCannotBe(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	for page, says := range map[string]string{
		haPage: "-node pve: the page has high availability (ha)",
		strings.Replace(haPage, "apart: b", "apart: c", 1):           "workstations.a.ha.apart[0]: no workstation of the page has the name",
		strings.Replace(haPage, "ha: {}", "memory: 4GiB", 1):         "the key stands here twice",
		strings.Replace(haPage, ", ha: {}", "", 1):                   "b is not under high availability: add ha: {} to that workstation",
		strings.Replace(haPage, "state: started", "state: run", 1):   `"run" is not valid`,
		strings.Replace(haPage, "nodes: {pve: 0, pve2: 0}, ", "", 1): "workstations.a.ha.strict: strict needs nodes",
		strings.Replace(haPage, "apart: b", "apart: a", 1):           "this is the workstation itself",
		strings.Replace(haPage, "ha: {}", "ha: {together: a}", 1):    "the page also keeps b together with a",
		haPage + "dualboot:\n  s: {members: [a, b]}\n":               "a switch starts and stops its members: leave the state out",
	} {
		if err := os.WriteFile(l.page, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		l.want(1, says, "", "plan", "-f", l.page, "-node", "pve")
	}
	if err := os.WriteFile(l.page, []byte(strings.Replace(haPage, "pve2: 0", "pve9: 0", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(1, "the cluster has no node pve9", "", "plan", "-f", l.page)
	if err := os.WriteFile(l.page, []byte(strings.Replace(haPage, "pve2: 0", "pve2: 1", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(1, "so give all nodes one priority", "", "plan", "-f", l.page)
	if sim.Where(140) != "" {
		t.Error("a VM was made")
	}
	alone := newLab(t, pvetest.Reference())
	if err := os.WriteFile(alone.page, []byte(strings.Replace(haPage, "node: pve2", "node: pve", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	alone.want(1, "workstations.a.ha: invalid specification: node pve is in no cluster", "", "plan", "-f", alone.page)
}

// saysYesAfter returns the input of a person who does something before the
// answer yes.
func saysYesAfter(do func()) io.Reader {
	return io.MultiReader(doing(do), strings.NewReader("yes\n"))
}

// doing is a reader without content, which does something when it is read.
type doing func()

func (do doing) Read([]byte) (int, error) {
	do()
	return 0, io.EOF
}

// If another client changes a VM after the plan was shown, apply stops there.
// The exit code says whether something was done before: 4 means that nothing
// was changed.
func TestApplyThatStopsHalfWay(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l, sim := newRack(t)
	l.place("pve", "pve2")
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	text, err := os.ReadFile(l.page)
	if err == nil {
		err = os.WriteFile(l.page, []byte(strings.ReplaceAll(string(text), "memory: 8GiB", "memory: 9GiB")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(t.TempDir(), "plan.json")
	l.want(2, "0 to add, 1 to change", "", "plan", "-f", l.page, "-out", plan)
	for _, test := range []struct {
		node string // the node of the VM that somebody changes
		vmid int
		args []string
		code int
		says string
	}{
		{"pve", 140, []string{"apply", "-f", l.page}, 4, "the same command goes on where it stopped"},
		{"pve2", 141, []string{"apply", plan}, 4, "plan is stale"}, // stale, because the first case changed VM 140
		{"pve2", 141, []string{"apply", "-f", l.page}, 1, "changed since the plan was made"},
	} {
		edit := func() {
			if err := sim.Node(test.node).Edit(test.vmid, "description", "somebody was here: "+test.says); err != nil {
				t.Error(err)
			}
		}
		if code := l.run(&app{in: saysYesAfter(edit), person: true}, test.args...); code != test.code || !strings.Contains(l.said, test.says) {
			t.Errorf("%v: code %d, want %d and %q:\n%s", test.args, code, test.code, test.says, l.said)
		}
	}
	l.want(0, "Done: 1 change,", "", "apply", "-f", l.page, "-yes")
	if err := os.WriteFile(l.page, text, 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(2, "0 to add, 1 to change", "", "plan", "-f", l.page, "-out", plan)
	edit := func() { _ = sim.Node("pve2").Edit(141, "description", "again") }
	if code := l.run(&app{in: saysYesAfter(edit), person: true}, "apply", plan); code != 1 || !strings.Contains(l.said, "what was done stays done: make a new plan with homelab plan -out "+plan) {
		t.Errorf("code %d:\n%s", code, l.said)
	}
	l.want(4, "plan is stale", "", "apply", plan, "-yes")
	l.want(0, "Done: 1 change,", "", "apply", "-f", l.page, "-yes")
}
