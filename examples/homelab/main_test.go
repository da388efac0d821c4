package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/examples/internal/stopped"
	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestMain(m *testing.M) { stopped.Main(m, main) }

// A lab is an embedded node that the environment names, and a directory with a
// page.
type lab struct {
	t    *testing.T
	sim  *pvetest.Node
	page string
	ca   string // the file with the cluster's certificate authority; empty for a single node
	said string // the output of the last call of the program
}

// secrets holds the secrets of the page. No output may show them.
var secrets = map[string]string{"MACOS_OSK": strings.Repeat("osksecret", 8)[:64], "WINDOWS_PASSWORD": "horse-battery", "RUSTDESK_PASSWORD": "staple-correct"}

func newLab(t *testing.T, host pvetest.Host) *lab {
	t.Helper()
	if host.Guests == nil {
		host.Guests = map[int]pvetest.Guest{140: standIn(), 141: standIn()}
	}
	l := &lab{t: t, sim: pvetest.New(host, &pvetest.Options{Speed: 100}).Start()}
	t.Cleanup(l.sim.Close)
	t.Setenv("PROXMOX_VE_ENDPOINT", l.sim.URL())
	t.Setenv("PROXMOX_VE_USERNAME", "root@pam")
	t.Setenv("PROXMOX_VE_PASSWORD", "secret")
	t.Setenv("PROXMOX_VE_API_TOKEN", "")
	home := t.TempDir()
	t.Setenv("HOME", home)
	for name, text := range secrets {
		t.Setenv(name, text)
	}
	text, err := os.ReadFile("homelab.yaml")
	if err == nil {
		err = os.MkdirAll(filepath.Join(home, ".ssh"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(home, ".ssh/id_ed25519.pub"), []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me@laptop\n"), 0o600)
	}
	l.page = filepath.Join(home, "homelab.yaml")
	if err == nil {
		err = os.WriteFile(l.page, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// byHand removes the users from the page, so that its guests do not set
// themselves up.
func (l *lab) byHand() *lab {
	l.t.Helper()
	text, err := os.ReadFile(l.page)
	if err == nil {
		text = regexp.MustCompile(`(?m)^    (user|setup): .*\n`).ReplaceAll(text, nil)
		err = os.WriteFile(l.page, text, 0o600)
	}
	if err != nil {
		l.t.Fatal(err)
	}
	return l
}

// call runs the program for a person at a terminal, who types the given answer.
func (l *lab) call(answer string, args ...string) int {
	l.t.Helper()
	return l.run(&app{in: strings.NewReader(answer), person: answer != ""}, args...)
}

func (l *lab) run(a *app, args ...string) int {
	l.t.Helper()
	var out bytes.Buffer
	a.out = term.Of(&out)
	if connect.Configured() && args[0] != "host" {
		if l.ca != "" {
			args = append(args, "-ca", l.ca)
		} else {
			args = append(args, "-fingerprint", l.sim.Fingerprint())
		}
	}
	err := run(l.t.Context(), args, a)
	l.said = out.String()
	if err != nil {
		l.said += err.Error()
	}
	for name, secret := range secrets {
		if strings.Contains(l.said, secret) {
			l.t.Errorf("%v shows %s:\n%s", args, name, l.said)
		}
	}
	return connect.Code(err)
}

// want runs the program and checks its exit code and its output. It ignores
// line breaks in the output.
func (l *lab) want(code int, says, answer string, args ...string) {
	l.t.Helper()
	got := l.call(answer, args...)
	if words := strings.Join(strings.Fields(l.said), " "); got != code || !strings.Contains(words, says) {
		l.t.Fatalf("homelab %v: code %d, want %d and %q:\n%s", args, got, code, says, l.said)
	}
}

func (l *lab) state(vms, running []int) {
	l.t.Helper()
	if have := l.sim.VMs(); !slices.Equal(have, vms) {
		l.t.Fatalf("VMs %v, want %v", have, vms)
	}
	if have := l.sim.Running(); !slices.Equal(have, running) {
		l.t.Fatalf("running: %v, want %v", have, running)
	}
}

// All commands work on the reference page, including the first boots of its
// guests. The test takes half a minute, because it answers the installer's
// question in real time.
func TestFromThePageToTheEnd(t *testing.T) { //nolint:paralleltest // the environment is the test's
	if testing.Short() {
		t.Skip("plays in real time")
	}
	l := newLab(t, pvetest.Reference())
	plan := filepath.Join(t.TempDir(), "plan.json")
	none, all := []int(nil), []int{130, 140, 141}
	l.want(0, "homelab.yaml is valid: 3 workstations, 2 cards. Node pve can be reached, and the secrets that are needed are there.", "", "check", "-f", l.page)
	l.want(2, "Then Windows in VM 140 windows is set up", "", "plan", "-f", l.page, "-out", plan)
	l.want(1, "add -yes to agree", "", "apply", plan)
	l.want(5, "nothing was changed", "no\n", "apply", plan)
	l.state(none, none)
	l.want(0, "Done: 6 changes, 2 guests set up.", "yes\n", "apply", plan)
	for _, want := range []string{"the seed is deleted, with the secrets on it", "scsi1: yes: D: Games", "nvidia-smi: NVIDIA GeForce RTX 5070 Ti, 580.126"} {
		if !strings.Contains(l.said, want) {
			t.Errorf("apply does not say %q:\n%s", want, l.said)
		}
	}
	l.state(all, []int{140})
	l.want(0, "nothing to do", "", "plan", "-f", l.page)
	l.want(0, "nothing to do", "", "apply", "-f", l.page)
	l.want(4, "plan is stale", "", "apply", plan, "-yes")
	l.want(0, "windows 140 windows11 running", "", "status", "-f", l.page)
	l.want(0, "it is running already", "", "switch", "windows", "-f", l.page)
	l.state(all, []int{140})
	l.want(1, "macos has no user, so it does not set itself up", "", "plan", "-again", "macos", "-f", l.page)
	l.want(0, "windows has the card can have it: yes", "", "status", "-f", l.page)
	l.want(0, "shutting down VM 140", "", "switch", "-f", l.page, "linux-ai")
	l.state(all, []int{141})
	l.want(3, "Blocked. Nothing is changed until this is done:", "", "destroy", "linux-ai", "-f", l.page, "-yes")
	l.state(all, []int{141})
	l.want(5, "VM 141) is running and is shut down first.", "no\n", "destroy", "linux-ai", "-f", l.page, "-shutdown")
	l.want(0, "Done: 3 changes, 0 guests set up.", "", "destroy", "macos", "windows", "linux-ai", "-f", l.page, "-shutdown", "-yes")
	l.state(none, none)
	if err := l.sim.Check(); err != nil {
		t.Error(err)
	}
}

// A saved plan is stale if any VM has changed after the plan was made, even a
// VM that the plan does not change.
func TestSavedPlanIsStale(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference()).byHand()
	plan := filepath.Join(t.TempDir(), "plan.json")
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	text, err := os.ReadFile(l.page)
	if err == nil {
		err = os.WriteFile(l.page, bytes.Replace(text, []byte("memory: 16GiB\n    system"), []byte("memory: 24GiB\n    system"), 1), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.want(2, "16384 -> 24576", "", "plan", "-f", l.page, "-out", plan)
	saved, err := os.ReadFile(plan)
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range secrets {
		if bytes.Contains(saved, []byte(secret)) {
			t.Errorf("the saved plan holds %s", name)
		}
	}
	if err := l.sim.Edit(140, "description", "by hand"); err != nil {
		t.Fatal(err)
	}
	l.want(4, "plan is stale", "", "apply", plan, "-yes")
	l.want(2, "16384 -> 24576", "", "plan", "-f", l.page, "-out", plan)
	l.want(1, "-f would have no effect on a saved plan", "", "apply", plan, "-f", l.page, "-yes")
	l.want(0, "Done: 1 change, 0 guests set up.", "", "apply", plan, "-yes")
	if err := os.WriteFile(plan, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(1, "not a plan that homelab plan -out saved", "", "apply", plan, "-yes")
}

// On a node with VMs, init writes a page for which the plan is empty.
func TestInitOnANodeWithVMs(t *testing.T) {
	host := pvetest.Reference()
	for i, name := range []string{"windows", "linux-ai", "router"} {
		id := 140 + i
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: i == 2, Config: map[string]string{"name": name, "memory": "8192", "ostype": []string{"win11", "l26", "other"}[i], "agent": "enabled=1",
			"scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=64G", id)}})
	}
	l := newLab(t, host)
	page := filepath.Join(t.TempDir(), "first.yaml")
	l.want(0, "describes node pve as it is: 3 workstations, 2 cards.", "", "init", "-f", page)
	l.want(1, "is there already", "", "init", "-f", page)
	l.want(0, "Plan for node pve: nothing to do", "", "plan", "-f", page)
	l.want(0, "router 142 custom running", "", "status", "-f", page)
	l.want(0, "profile: windows11", "", "init", "-f", "-")
	if !strings.HasPrefix(l.said, "# yaml-language-server:") {
		t.Errorf("something is printed before the page:\n%s", l.said)
	}
	if strings.Contains(l.said, "embedded") {
		t.Errorf("the page is about a node of its own:\n%s", l.said)
	}
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	l.want(0, "# This page describes the node that is embedded in homelab, not your node.", "", "init", "-f", "-")
	first := filepath.Join(t.TempDir(), "embedded.yaml")
	l.want(0, "describes node pve", "", "init", "-f", first)
	l.want(0, "nothing to do", "", "plan", "-f", first)
}

// With -json, each command prints one JSON value. Its exit codes are the same
// as without -json.
func TestJSON(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference()).byHand()
	read := func(code int, into any, args ...string) {
		t.Helper()
		if got := l.call("", append(args, "-f", l.page)...); got != code {
			t.Fatalf("%v: code %d, want %d:\n%s", args, got, code, l.said)
		}
		decoder := json.NewDecoder(strings.NewReader(l.said))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(into); err != nil || decoder.More() {
			t.Fatalf("%v: %v\n%s", args, err, l.said)
		}
	}
	var plan planView
	read(2, &plan, "plan", "-json")
	if plan.Empty || plan.Blocked || len(plan.Changes) != 6 || plan.Changes[0].Sign != "+" || plan.Changes[0].Object != "mapping igpu" || len(plan.Changes[0].Lines) != 1 {
		t.Errorf("%+v", plan)
	}
	read(0, &plan, "check", "-json")
	read(0, &plan, "apply", "-json", "-yes")
	plan = planView{}
	read(0, &plan, "plan", "-json")
	if !plan.Empty || plan.Changes == nil {
		t.Errorf("%+v", plan)
	}
	read(0, &map[string]int{}, "switch", "windows", "-json")
	var status statusView
	read(0, &status, "status", "-json")
	if len(status.Workstations) != 3 || status.Workstations[1].State != "running" || len(status.Sets) != 1 || status.Sets[0].Running != "windows" || len(status.Storages) != 4 {
		t.Errorf("%+v", status)
	}
	read(3, &plan, "destroy", "windows", "-json", "-yes")
	var spec workstation.Spec
	read(0, &spec, "export")
	if len(spec.VMs) != 3 || len(spec.Mappings) != 2 {
		t.Errorf("%+v", spec)
	}
}

// The program refuses wrong calls with a message and an exit code, and changes
// nothing.
func TestRefusals(t *testing.T) {
	l := newLab(t, pvetest.Reference())
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("workstations:\n  w: {profile: windows11, memroy: 4GiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	small := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(small, []byte("workstations:\n  w: {profile: windows11, memory: 512MiB}\n  n_o: {profile: linux-ai}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"aply", 1, `"aply" is not a command: want init, check, plan, apply`},
		{"plan -f nothing.yaml", 1, "there is no page nothing.yaml: homelab init writes a page"},
		{"plan -f " + broken, 1, "broken.yaml:2:27: workstations.w.memroy: no such key: did you mean memory?"},
		{"plan -f " + small, 1, "small.yaml:2:35: workstation: VM 140: memory"},
		{"plan now", 1, `"now" is one argument too many: want homelab plan`},
		{"plan -yes", 1, "flag provided but not defined: -yes"},
		{"switch -f " + l.page, 1, "which workstations? The page has [linux-ai macos windows]"},
		{"switch macos -f " + l.page, 1, "macos takes turns with nobody"},
		{"switch linux -f " + l.page, 1, `the page has no workstation "linux"`},
		{"switch windows -f " + l.page, 3, "Blocked."},
		{"destroy windows -yes -f " + l.page, 1, "VM 140 on node pve"},
		{"watch -f " + small, 1, "has no dualboot set to watch"},
		{"host go -f " + l.page, 1, "want host plan, host apply or host undo"},
		{"host undo -json -f " + l.page, 1, "-json has no effect on host undo"},
		{"apply -json -f " + l.page, 1, "add -yes to agree"},
		{"host plan -yes -f " + l.page, 1, "-yes has no effect on host plan"},
		{"-h", 0, "Commands: init"},
		{"plan -h", 0, "PROXMOX_VE_ENDPOINT"},
	} {
		if test.args == "host go -f "+l.page && os.Geteuid() != 0 {
			continue // only root gets as far as the message of this case
		}
		l.want(test.code, test.says, "", strings.Fields(test.args)...)
	}
	t.Setenv("WINDOWS_PASSWORD", "")
	os.Unsetenv("MACOS_OSK")
	l.want(1, "homelab.yaml:28:10: workstations.macos.osk: env:MACOS_OSK: the variable is not set: export MACOS_OSK", "", "check", "-f", l.page)
	t.Setenv("PROXMOX_VE_PASSWORD", "wrong")
	l.want(1, "tried user root@pam of the realm pam with a password", "", "check", "-f", l.page)
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	l.want(1, "-node would have no effect, because PROXMOX_VE_ENDPOINT is not set", "", "plan", "-node", "pve", "-f", l.page)
	l.want(2, "this is a node embedded in the program", "", "plan", "-f", l.page)
	l.state(nil, nil)
}

// The program plans ways into the guests, and sets them up over the guests'
// agents. It reports a guest that is off, and still sets up the other guests.
func TestRemote(t *testing.T) { //nolint:paralleltest // the environment is the test's
	host := pvetest.Reference()
	key := "no"
	host.Guests = map[int]pvetest.Guest{141: {Boot: time.Nanosecond, Exec: func(_ []string, input []byte) pvetest.Result {
		if steps, _, _ := strings.Cut(string(input), "\n"); strings.Contains(steps, "key") {
			key = "yes"
		}
		return pvetest.Result{Stdout: []byte("access: user yes\naccess: installed yes\naccess: running yes\naccess: key " + key + "\naccess: done\n")}
	}}}
	for i, name := range []string{"linux-ai", "box"} {
		host.VMs = append(host.VMs, pvetest.VM{ID: 141 + i, Running: i == 0, Config: map[string]string{"name": name, "memory": "2048", "ostype": "l26", "agent": "enabled=1", "scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=64G", 141+i)}})
	}
	l := newLab(t, host)
	page := "workstations:\n  linux-ai: {profile: linux-ai}\n  box: {profile: linux-ai, id: 142}\nremote:\n  ssh: {user: me, key: file:~/.ssh/id_ed25519.pub, guests: [linux-ai, box]}\n"
	if err := os.WriteFile(l.page, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(1, "box (VM 142) The VM is off, so its guest cannot be asked. Start it: qm start 142, on its node.", "", "remote", "-f", l.page)
	l.want(2, "~ SSH: key of me: absent -> ssh-ed25519 me@laptop", "", "remote", "-f", l.page, "linux-ai")
	l.want(1, "-yes would have no effect", "", "remote", "-f", l.page, "-yes")
	l.want(1, "the page sets up no remote access to \"windows\"", "", "remote", "-f", l.page, "windows")
	l.want(5, "nothing was changed", "no\n", "remote", "-f", l.page, "linux-ai", "-apply")
	l.want(1, "linux-ai: done", "yes\n", "remote", "-f", l.page, "-apply")
	l.want(0, "nothing to do", "", "remote", "-f", l.page, "linux-ai")
	var views []reachView
	if err := os.WriteFile(l.page, []byte(strings.NewReplacer("profile: linux-ai", "profile: linux-ai, card: rtx").Replace(page)+"cards:\n  rtx: {address: \"0000:01:00\"}\ndualboot:\n  both: {members: [linux-ai, box]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.want(1, "The VM is off, so its guest cannot be asked. Start it: homelab switch box.", "", "remote", "-f", l.page)
	if code := l.call("", "remote", "-f", l.page, "-json"); code != 1 || json.NewDecoder(strings.NewReader(l.said)).Decode(&views) != nil || len(views) != 2 || views[0].Error == "" || len(views[1].Changes) != 0 {
		t.Errorf("as JSON: %+v\n%s", views, l.said)
	}
}

// The program prepares a host. Undo restores every byte of the host's files.
func TestHost(t *testing.T) {
	l := newLab(t, pvetest.Reference())
	t.Setenv("PROXMOX_VE_ENDPOINT", "")
	root := described(t)
	before := tree(t, root)
	for text, want := range map[string]string{
		"cards:\n  rtx: {address: \"0000:01:00\"}\n  igpu: {address: \"0000:00:02\"}\n": "only the cards that guests get: host: keep: [igpu, rtx]",
		"node: pve\n": "no host: keep:, and no cards: either.",
	} {
		bare := filepath.Join(t.TempDir(), "bare.yaml")
		if err := os.WriteFile(bare, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l.want(0, want, "", "host", "plan", "-f", bare, "-root", root)
		l.want(0, want, "", "host", "apply", "-f", bare, "-root", root)
		if strings.Contains(text, "cards:") && !strings.Contains(l.said, "\nhost:\n  keep: [igpu, rtx]\n") {
			t.Errorf("the lines cannot be copied:\n%s", l.said)
		}
	}
	l.want(2, "homelab host apply carries out this plan", "", "host", "-f", l.page, "-root", root)
	if l.call("", "host", "plan", "-json", "-f", l.page, "-root", root) != 2 || !json.Valid([]byte(l.said)) {
		t.Errorf("as JSON:\n%s", l.said)
	}
	l.want(5, "nothing was changed", "no\n", "host", "apply", "-f", l.page, "-root", root)
	if !slices.Equal(tree(t, root), before) {
		t.Error("it changed something")
	}
	l.want(0, "effect when the host restarts.", "yes\n", "host", "apply", "-f", l.page, "-root", root)
	if slices.Equal(tree(t, root), before) {
		t.Error("it changed nothing")
	}
	l.want(0, "Every file is as it was before.", "", "host", "undo", "-yes", "-f", l.page, "-root", root)
	if !slices.Equal(tree(t, root), before) {
		t.Error("it is not as it was")
	}
}

// watch prints each change, and ends when its context ends.
func TestWatch(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference()).byHand()
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	for _, args := range [][]string{{"watch", "-f", l.page}, {"watch", "-f", l.page, "-json"}} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		seen := &until{text: "140", cancel: cancel}
		if !slices.Contains(args, "-json") {
			seen.text = "rtx: nobody has the card."
		}
		if err := run(ctx, append(args, "-fingerprint", l.sim.Fingerprint()), &app{out: term.Of(seen)}); err != nil || !strings.Contains(seen.said.String(), seen.text) {
			t.Errorf("%v, %q", err, seen.said.String())
		}
		cancel()
	}
}

// An until is a writer that cancels a context when somebody writes a given text
// to it.
type until struct {
	said   bytes.Buffer
	text   string
	cancel func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.said.Write(p)
	if strings.Contains(u.said.String(), u.text) {
		u.cancel()
	}
	return n, err
}

// A workstation without the card in its configuration does not have the card. A
// workstation that does not exist does not keep the others from switching.
func TestAWorkstationWithoutTheCard(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference()).byHand()
	l.want(0, "Done", "", "apply", "-f", l.page, "-yes")
	if err := l.sim.Edit(141, "hostpci0", ""); err != nil {
		t.Fatal(err)
	}
	l.want(0, "linux-ai off can have it: yes", "", "status", "-f", l.page)
	l.want(0, "PVE starts the VM, but without the card.", "", "switch", "-f", l.page, "linux-ai")
	l.want(0, "linux-ai running, without the card can have it: yes", "", "status", "-f", l.page)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	seen := &until{text: "rtx: linux-ai is running, without the card.", cancel: cancel}
	if err := run(ctx, []string{"watch", "-f", l.page, "-fingerprint", l.sim.Fingerprint()}, &app{out: term.Of(seen)}); err != nil || !strings.Contains(seen.said.String(), seen.text) {
		t.Errorf("%v, %q", err, seen.said.String())
	}
	l.want(0, "it is up", "", "switch", "-f", l.page, "windows")
	l.want(0, "Done", "", "destroy", "windows", "-f", l.page, "-shutdown", "-yes")
	l.want(0, "windows missing can have it: no", "", "status", "-f", l.page)
	l.want(0, "it is up", "", "switch", "-f", l.page, "linux-ai")
}

// A person cancels the set-up of a guest. The same command goes on with it, as
// the error says.
func TestCancelledSetUpGoesOn(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference())
	page := "cards:\n  rtx: {address: \"0000:01:00\"}\nworkstations:\n  linux-ai: {profile: linux-ai, card: rtx, image: \"local:import/ubuntu-24.04-server-cloudimg-amd64.qcow2\", user: {name: me, password: env:WINDOWS_PASSWORD}}\n"
	if err := os.WriteFile(l.page, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := &until{text: "installing", cancel: cancel}
	err := run(ctx, []string{"apply", "-yes", "-f", l.page, "-fingerprint", l.sim.Fingerprint()}, &app{out: term.Of(seen)})
	if err == nil || !strings.HasSuffix(err.Error(), "; the same command goes on where it stopped") || strings.Contains(err.Error(), "-again") {
		t.Fatalf("%v\n%s", err, seen.said.String())
	}
	if vm, _ := l.sim.VM(141); vm.Config["hostpci0"] != "" {
		t.Errorf("the guest has its card: %v", vm.Config)
	}
	l.want(2, "Then Linux in VM 141 linux-ai is set up", "", "plan", "-f", l.page)
	l.want(0, "1 guest set up.", "", "apply", "-yes", "-f", l.page)
	if vm, _ := l.sim.VM(141); !strings.Contains(vm.Config["hostpci0"], "rtx") {
		t.Errorf("the guest has no card: %v", vm.Config)
	}
	l.want(0, "", "", "plan", "-f", l.page)
}

// If a switch is stopped while Windows shuts down, the program starts Windows
// again.
func TestStoppedInMidSwitch(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	for i, name := range []string{"windows", "linux-ai"} {
		id := 140 + i
		host.VMs = append(host.VMs, pvetest.VM{ID: id, Running: i == 0, Config: map[string]string{"name": name, "memory": "8192", "machine": "q35", "bios": "ovmf",
			"agent": "enabled=1", "hostpci0": "0000:01:00,pcie=1", "scsi0": fmt.Sprintf("local-lvm:vm-%d-disk-0,size=64G", id)}})
	}
	host.Guests = map[int]pvetest.Guest{140: {Shutdown: 150 * time.Second}}
	p := stopped.Start(t, host, "switch", "linux-ai", "-f", "homelab.yaml")
	p.Until(t, "shutting down VM 140")
	p.End(t, syscall.SIGTERM, 140, "VM 140 runs again", "VM 140 is running")
}
