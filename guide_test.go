package proxstation_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A command is a line of a documentation page that starts one of the examples.
type command struct{ page, line string }

// The pattern "elsewhere" matches the first line of a code block that the
// reader types on a real host or laptop. The commands of such a block are not
// run.
var elsewhere = regexp.MustCompile(`^# (host|laptop)\b`)

// The function "commands" returns the lines of the pages that start or copy an
// example. It leaves out code blocks that are for another machine. It also
// returns all code blocks of the kind sh, each below the name of its page.
func commands(t *testing.T) (run []command, blocks []string) {
	t.Helper()
	pages, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range append(pages, "README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, block := range strings.Split(string(text), "```") {
			kind, body, _ := strings.Cut(block, "\n")
			if i%2 == 0 || kind != "sh" && kind != "" {
				continue
			}
			if kind == "sh" {
				blocks = append(blocks, page+"\n"+body)
			}
			if elsewhere.MatchString(strings.TrimSpace(body)) {
				continue
			}
			for line := range strings.Lines(body) {
				line, _, _ = strings.Cut(strings.TrimSpace(line), "   #")
				if strings.HasPrefix(line, "go run ./examples/") || strings.HasPrefix(line, "./homelab ") || kind == "sh" && strings.HasPrefix(line, "cp examples/") {
					run = append(run, command{page, strings.TrimSpace(line)})
				}
			}
		}
	}
	return run, blocks
}

// notHere holds the commands that TestCommandsOfThePages does not run. Some of
// them are run by the tests of their examples. Others are servers, or need
// root, or need a directory that the reader chooses. The commands "homelab
// switch" and "homelab destroy" have their own test, because they need a node
// that an earlier command has changed.
var notHere = []string{
	"go run ./examples/dualboot", "go run ./examples/macos", "go run ./examples/switchboard", "go run ./examples/pvenode",
	"go run ./examples/inventory -capture DIR", "go run ./examples/inventory -root DIR", "go run ./examples/inventory -describe",
	"go run ./examples/host -keep", "go run ./examples/host -undo", "./homelab switch", "./homelab destroy",
}

// The commands of the documentation pages run as they are written, one after
// the other, in an empty directory and on the embedded node.
func TestCommandsOfThePages(t *testing.T) {
	t.Parallel()
	run, blocks := commands(t)
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "bin")+"/", "./examples/...").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := os.CopyFS(filepath.Join(dir, "examples", "homelab"), os.DirFS("examples/homelab")); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, c := range run {
		if slices.ContainsFunc(notHere, func(prefix string) bool { return strings.HasPrefix(c.line, prefix) }) {
			continue
		}
		ran++
		if strings.Contains(c.line, "go run") && strings.Contains(c.line, "$?") {
			t.Errorf("%s: %s: go run ends with code 1 after every code but 0", c.page, c.line)
		}
		script := regexp.MustCompile(`go run \./examples/(\w+)`).ReplaceAllString(c.line, "./bin/$1")
		if strings.HasPrefix(script, "./homelab ") {
			script = "./bin/" + strings.TrimPrefix(script, "./")
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
		cmd.Dir = dir
		cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "PROXMOX_VE_") }), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		changes := strings.Contains(c.line, "homelab plan") && !strings.Contains(c.line, "$?") && cmd.ProcessState != nil && cmd.ProcessState.ExitCode() == 2
		if err != nil && !changes {
			t.Errorf("%s: %s: %v\n%s", c.page, c.line, err, out)
		}
	}
	if ran < 10 {
		t.Errorf("%d commands ran", ran)
	}
	for _, block := range blocks {
		page, body, _ := strings.Cut(block, "\n")
		if elsewhere.MatchString(body) && strings.Contains(body, "crontab") {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "sh", "-n")
		cmd.Stdin = strings.NewReader(body)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s\n%s", page, err, out, body)
		}
	}
}

// A user with the role that the guide creates can switch a card between VMs.
// The user can also carry out the plan of the reference page, except for the
// steps that only root may do. Each privilege of the role is needed.
func TestRoleOfTheGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("docs/guide.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`pveum role add Homelab --privs "([^"]+)"`).FindStringSubmatch(string(guide))
	if match == nil {
		t.Fatal("the guide makes no role")
	}
	needed := neededByThePage(t, strings.Fields(match[1]))
	for _, name := range strings.Fields(match[1]) {
		if !slices.Contains(needed, name) {
			t.Errorf("nothing needs %s", name)
		}
	}
}

// neededByThePage plans the reference page as a user with these privileges. It
// returns the privileges that the user needs in order to observe the node, to
// apply the plan, and to switch a card between VMs.
func neededByThePage(t *testing.T, privileges []string) []string {
	t.Helper()
	host := pvetest.Reference()
	host.Users = []pvetest.User{{ID: "homelab@pve", Privileges: map[string][]string{"/": privileges},
		Tokens: []pvetest.Token{{ID: "laptop", Secret: "a-secret"}}}}
	sim := pvetest.New(host, nil)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Token: "homelab@pve!laptop=a-secret", Transport: sim.Transport()}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := node.Observe(t.Context())
	if err != nil || len(facts.Unknown) > 0 {
		t.Fatalf("looking: %v, %v", facts.Unknown, err)
	}
	plan := planOfThePage(t, facts)
	// These privileges are needed to observe, to switch with a lease, and to
	// ask the guest's agent.
	needed := []string{"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit", "VM.PowerMgmt", "VM.Config.Options"}
	add := func(needs []workstation.Privilege) {
		for _, p := range facts.Lacks(needs...) {
			t.Errorf("the role lacks %s", p)
		}
		for _, p := range needs {
			needed = append(needed, strings.Split(p.Name, "|")...)
		}
	}
	for _, change := range plan.First.Changes() {
		add(change.Needs)
	}
	for _, setUp := range plan.SetUps {
		add(setUp.Needs)
	}
	return needed
}

// planOfThePage plans the reference page of examples/homelab.
func planOfThePage(t *testing.T, facts workstation.Facts) install.Plan {
	t.Helper()
	const name = "examples/homelab/homelab.yaml"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	page, err := file.Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	resolve := func(r file.Reference) (proxstation.Secret, error) {
		if strings.HasSuffix(string(r), ".pub") {
			return proxstation.NewSecret("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl me"), nil
		}
		return proxstation.NewSecret(strings.Repeat("x", 64)), nil
	}
	spec, err := page.Spec(facts, resolve)
	if err != nil {
		t.Fatal(err)
	}
	guests, err := page.Guests(facts, resolve)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := install.Diff(spec, guests, facts)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}
