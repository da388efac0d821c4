package board

import (
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// The commands in docs/switchboard.md do what the document says that they do.
func TestCommandsOfTheDocs(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	host := pair()
	sim := pvetest.New(host, &pvetest.Options{Speed: 20}).Start()
	t.Cleanup(sim.Close)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), RootCAs: sim.CertPool(),
		Token: "root@pam!" + host.RootTokens[0].ID + "=" + host.RootTokens[0].Secret}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	b := New(t.Context(), node, duo, Options{Host: "pve", Secret: proxstation.NewSecret(secret), Names: []string{"cards.lan"}})
	server := httptest.NewServer(b.Handler())
	t.Cleanup(func() { server.Close(); b.Close() })

	text, commands := docs(t), 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(text, -1) {
		for command := range strings.Lines(block[1]) {
			commands++
			command = strings.ReplaceAll(command, "http://cards.lan:8140", server.URL)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			cmd := exec.CommandContext(ctx, "sh", "-c", command) //nolint:gosec // it is our own documentation
			cmd.Env = append(os.Environ(), "SWITCHBOARD_SECRET="+secret)
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil || !json.Valid(out) {
				t.Errorf("%s%v\n%s", command, err, out)
			}
		}
	}
	if commands < 4 {
		t.Errorf("the docs have %d commands", commands)
	}
}

// The document names only keys that the status has, and it names the error
// codes that this test lists.
func TestNamesInTheDocs(t *testing.T) {
	t.Parallel()
	text := docs(t)
	data, err := json.Marshal(View{Lease: &Lease{}, Job: &Job{}, Outcome: &Outcome{}, Trouble: &Trouble{}})
	var status map[string]any
	if err == nil {
		err = json.Unmarshal(data, &status)
	}
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| .GET /api/status. .*$`).FindString(text)
	names := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row, -1)
	names = append(names, regexp.MustCompile(`value_json\.(\w+)`).FindAllStringSubmatch(text, -1)...)
	for name := range strings.SplitSeq(regexp.MustCompile(`json_attributes: \[(.*)\]`).FindStringSubmatch(text)[1], ", ") {
		names = append(names, []string{"", name})
	}
	if len(names) < 12 {
		t.Errorf("only %d names", len(names))
	}
	for _, name := range names {
		if _, found := status[name[1]]; !found {
			t.Errorf("the status has no %q", name[1])
		}
	}
	for _, code := range []string{CodeUnknown, CodeBusy, CodeLeased, CodeBlocked, CodeChanged, CodeNoAnswer, CodeEnding, "request", "unauthorized", "throttled", "method", "unknown-path"} {
		if !strings.Contains(text, "`"+code+"`") {
			t.Errorf("the docs do not name %q", code)
		}
	}
}

func docs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/switchboard.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// With the role that the document gives to the token, a person can see and do
// everything. If any privilege is missing from the role, something fails.
func TestTheRoleOfTheDocs(t *testing.T) {
	t.Parallel()
	match := regexp.MustCompile(`--privs '([^']*)'`).FindStringSubmatch(docs(t))
	if match == nil {
		t.Fatal("the docs have no role")
	}
	role := strings.Fields(match[1])
	for without := range len(role) + 1 { // the last round removes no privilege
		host := pair()
		some := slices.Clone(role)
		if without < len(role) {
			some = slices.Delete(some, without, without+1)
		}
		host.Users = append(host.Users, pvetest.User{ID: "switchboard@pve", Privileges: map[string][]string{"/": some},
			Tokens: []pvetest.Token{{ID: "page", Secret: "s", Privileges: map[string][]string{"/": some}}}})
		synctest.Test(t, func(t *testing.T) {
			sim := pvetest.New(host, nil)
			node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: "https://pve.example:8006", Token: "switchboard@pve!page=s", Transport: sim.Transport()}, "", nil)
			if err != nil {
				t.Fatal(err)
			}
			b := &bench{t: t, sim: sim, node: &counted{Node: node}}
			b.board = New(t.Context(), b.node, duo, Options{Host: "pve"})
			b.handler = b.board.Handler()
			time.Sleep(time.Minute)
			v := b.view()
			unsure := slices.ContainsFunc(v.Systems, func(s System) bool { return len(s.Reasons) > 0 })
			w := b.ask("POST", "/api/switch", `{"vmid":141,"wait":true}`)
			unread := slices.ContainsFunc(v.Findings, func(f proxstation.Finding) bool { return f.ID == "workstation.unread" })
			if works := w.Code == 200 && !unread && !unsure && len(v.Pools) == 3 && v.HostTrouble == nil; works != (without == len(role)) {
				t.Errorf("with %v: %d, unread %v, unsure %v, %d pools: %s", some, w.Code, unread, unsure, len(v.Pools), w.Body)
			}
			b.board.Close()
		})
	}
}

// systemd accepts the unit in the document.
func TestTheUnitOfTheDocs(t *testing.T) {
	t.Parallel()
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip(err)
	}
	text, err := os.ReadFile("../switchboard.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "switchboard.service")
	if err := os.WriteFile(unit, []byte(strings.ReplaceAll(string(text), "/usr/local/bin/switchboard", "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}
