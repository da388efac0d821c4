package connect

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestCode(t *testing.T) {
	t.Parallel()
	blocked := Blocked([]proxstation.Finding{{Severity: proxstation.Blocker}})
	for want, err := range map[int]error{0: flag.ErrHelp, 1: errors.New("x"), Block: blocked, Stale: fmt.Errorf("x: %w", &workstation.StaleError{}), No: &Exit{Status: No, Err: errors.New("no")}} {
		if got := Code(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if Code(nil) != 0 || Blocked(nil) != nil || blocked.Error() != "" || Code(&workstation.BlockedError{}) != Block {
		t.Error("the rest")
	}
}

// The error for a refused login names the user and says how the login was
// given.
func TestLoginSaysWho(t *testing.T) { //nolint:paralleltest // the environment is the test's
	sim := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(sim.Close)
	for _, test := range []struct{ token, user, password, want string }{
		{"", "", "", "no login: set PROXMOX_VE_API_TOKEN"},
		{"root@pam!lab=hunter2", "root@pam", "hunter2", "are both set: set either the token"},
		{"hunter2", "", "", "does not look like a token"},
		{"", "", "hunter2", "PROXMOX_VE_USERNAME is not: set it"},
		{"", "root@pam", "", "PROXMOX_VE_USERNAME is root@pam, but PROXMOX_VE_PASSWORD is not set"},
		{"", "root", "hunter2", "root@pam for a user of the host"},
		{"", "root@pam", "hunter2", "tried user root@pam of the realm pam with a password"},
		{"root@pam!lab=hunter2", "", "", "tried user root@pam with the API token lab (PROXMOX_VE_API_TOKEN)"},
	} {
		t.Setenv("PROXMOX_VE_ENDPOINT", sim.URL())
		t.Setenv("PROXMOX_VE_API_TOKEN", test.token)
		t.Setenv("PROXMOX_VE_USERNAME", test.user)
		t.Setenv("PROXMOX_VE_PASSWORD", test.password)
		set := flag.NewFlagSet("test", flag.ContinueOnError)
		flags := Register(set)
		if err := Parse(set, []string{"-fingerprint", sim.Fingerprint()}); err != nil {
			t.Fatal(err)
		}
		_, err := flags.Open(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	set := flag.NewFlagSet("test", flag.ContinueOnError)
	set.SetOutput(&out)
	Describe(set, "\nTest tests.\n", Variables, "go run ./test\n# and so on")
	Register(set)
	if err := Parse(set, []string{"-h"}); Code(err) != 0 {
		t.Error(err)
	}
	for _, want := range []string{"Test tests.\n\nFlags:\n", "-fingerprint", "PROXMOX_VE_ENDPOINT", "NO_COLOR", "Example:\n  go run ./test\n  # and so on\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// The environment may have several addresses of a cluster. An empty address is
// skipped. The call must name a node, and that node must exist and be online.
func TestSeveralAddresses(t *testing.T) {
	a, b := pvetest.Reference(), pvetest.Reference()
	b.Name = "pve2"
	sim := pvetest.NewCluster([]pvetest.Host{a, b}, nil).Start()
	t.Cleanup(sim.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, sim.Nodes()[0].CA(), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PROXMOX_VE_USERNAME", "root@pam")
	t.Setenv("PROXMOX_VE_PASSWORD", "secret")
	t.Setenv("PROXMOX_VE_API_TOKEN", "")
	urls := sim.Node("pve").URL() + "," + sim.Node("pve2").URL() + ","
	sim.Down("pve2")
	for _, test := range []struct{ urls, node, want string }{
		{urls, "pve", ""},
		{urls, "", "the cluster has the nodes pve, pve2: -node chooses one of them"},
		{urls, "pve2", "node pve2 is away: the nodes that are online are pve"},
		{urls, "nope", `"nope" is not among the nodes`},
		{" , ", "pve", "PROXMOX_VE_ENDPOINT has no address"},
	} {
		t.Setenv("PROXMOX_VE_ENDPOINT", test.urls)
		set := flag.NewFlagSet("test", flag.ContinueOnError)
		flags := Register(set)
		if err := Parse(set, []string{"-ca", ca, "-node", test.node}); err != nil {
			t.Fatal(err)
		}
		node, err := flags.Open(t.Context())
		if got := fmt.Sprint(err); test.want != "" && !strings.Contains(got, test.want) || test.want == "" && (err != nil || node.Name() != test.node) {
			t.Errorf("%q, -node %s: %v", test.urls, test.node, err)
		}
	}
}
