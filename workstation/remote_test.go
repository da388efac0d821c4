package workstation_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

func TestMoveToAnOwnRustDeskServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const key = "OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw="
		own := rustdesk.Config{Server: rustdesk.Server{ID: "rd.example", Relay: "rd.example", Key: proxstation.NewSecret(key)}}
		host := pair()
		host.Guests = map[int]pvetest.Guest{140: {Exec: func([]string, []byte) pvetest.Result {
			return pvetest.Result{Stdout: []byte("rustdesk: version 1.4.7\nrustdesk: service running\nrustdesk: id 123456789\nrustdesk: done\n")}
		}}}
		sim := pvetest.New(host, nil)
		node := open(sim)
		time.Sleep(time.Minute)
		targets := []rustdesk.Target{
			{Name: "VM 140", Guest: node.Agent(140), OS: rustdesk.Linux, Config: own},
			{Name: "VM 141", Guest: node.Agent(141), OS: rustdesk.Linux, Config: own},
		}
		plan, err := rustdesk.PlanFor(t.Context(), targets)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Steps) != 1 || plan.Steps[0].Target.Name != "VM 140" || len(plan.Unreached) != 1 || plan.Unreached[0].Name != "VM 141" {
			t.Fatalf("plan %s", plan) // VM 141 is off
		}
		for _, want := range []string{"custom-rendezvous-server", "rd.example", "? VM 141"} {
			if !strings.Contains(plan.String(), want) {
				t.Errorf("the plan lacks %q:\n%s", want, plan)
			}
		}
		if shown := plan.String() + fmt.Sprintf("%+v", plan); strings.Contains(shown, key) {
			t.Error("the plan shows the key")
		}
		reports, err := plan.Apply(t.Context(), nil)
		if err != nil || len(reports) != 1 || reports[0].ID != "123456789" {
			t.Errorf("reports %v, %v", reports, err)
		}
		file, err := own.File()
		if err != nil {
			t.Fatal(err)
		}
		path, err := rustdesk.OptionsFile.Path(rustdesk.Linux, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Agent(140).WriteFile(t.Context(), path, []byte(file.Reveal())); err != nil { // the real RustDesk would write this file
			t.Fatal(err)
		}
		if again, err := rustdesk.PlanFor(t.Context(), targets[:1]); err != nil || !again.Empty() {
			t.Errorf("again: %s, %v", again, err)
		}
	})
}

// If a set-up fails, neither the error nor an event shows a secret. This holds
// for every cause of the failure.
func TestFailuresOfASetupShowNoSecret(t *testing.T) {
	t.Parallel()
	const password, key = "correct-horse-battery", "OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw="
	config := rustdesk.Unattended(rustdesk.Server{ID: "rd.example", Key: proxstation.NewSecret(key)}, proxstation.NewSecret(password))
	setup := rustdesk.Setup{OS: rustdesk.Linux, Config: &config}
	for _, kind := range []pvetest.FaultKind{pvetest.Refuse, pvetest.Forbid, pvetest.DropBefore, pvetest.DropAfter, pvetest.ErrorAfter,
		pvetest.ProxyTimeout, pvetest.ProxyDown, pvetest.ExpireTicket, pvetest.HangAfter} {
		for skip := range 5 {
			synctest.Test(t, func(t *testing.T) {
				host := pair()
				host.Guests = map[int]pvetest.Guest{140: scripted(func([]string, []byte, string) pvetest.Result {
					return pvetest.Result{Code: 1, Stdout: []byte("rustdesk: error password refused\n")}
				})}
				sim := pvetest.New(host, nil)
				time.Sleep(time.Minute)
				sim.Inject(pvetest.Fault{Path: "/nodes/.*", Kind: kind, Skip: skip})
				var told strings.Builder
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				report, err := rustdesk.SetUp(ctx, patient(sim, nil).Agent(140), setup, func(e rustdesk.Event) { fmt.Fprintf(&told, "%+v\n", e) })
				if err == nil {
					t.Errorf("%s of request %d: no error", kind, skip)
				}
				shown := fmt.Sprintf("%s %v %+v %#v %+v %v", &told, err, err, err, report, sim.Trace())
				if strings.Contains(shown, password) || strings.Contains(shown, key) {
					t.Errorf("%s of request %d shows a secret: %s", kind, skip, shown)
				}
			})
		}
	}
}

// If a file is missing, Windows reports it in the guest's own language.
func TestPlanForAWindowsGuestWithoutRustDesksFile(t *testing.T) {
	t.Parallel()
	const german = `Agent error: failed to open file 'C:\Windows\RustDesk2.toml': Das System kann die angegebene Datei nicht finden. `
	for _, test := range []struct {
		name, said, answer string
		os                 rustdesk.OS
		reached            bool
	}{
		{"no file", german, "no\r\n", rustdesk.Windows, true},
		{"a file that is locked", german, "yes\r\n", rustdesk.Windows, false},
		{"no answer", german, "", rustdesk.Windows, false},
		{"whatever the agent says", "Agent error: The handle is invalid", "no\r\n", rustdesk.Windows, true},
		{"on Linux", "Agent error: failed to open file '/root/x' (mode: 'r'): Permission denied", "no\n", rustdesk.Linux, false},
	} {
		var ran []string
		guest := pvetest.Guest{Exec: func(argv []string, _ []byte) pvetest.Result {
			if argv[0] == "cmd.exe" {
				ran = argv
			}
			return pvetest.Result{Stdout: []byte(test.answer)}
		}}
		guests(t, guest, func(t *testing.T, sim *pvetest.Node, _ workstation.Agent) {
			time.Sleep(time.Minute)
			sim.Inject(pvetest.Fault{Path: ".*/140/agent/file-read", Kind: pvetest.Refuse, Message: test.said})
			own := rustdesk.Config{Server: rustdesk.Server{ID: "rd.example"}}
			target := rustdesk.Target{Name: "VM 140", Guest: open(sim).Agent(140), OS: test.os, Config: own}
			plan, err := rustdesk.PlanFor(t.Context(), []rustdesk.Target{target})
			if err != nil || (len(plan.Steps) == 1) != test.reached || (len(plan.Unreached) == 0) != test.reached {
				t.Errorf("%s: %v\n%s", test.name, err, plan)
			}
			if command := strings.Join(ran, " "); test.reached && (!strings.HasPrefix(command, `cmd.exe /c if exist C:\`) || strings.ContainsRune(command, '"')) {
				t.Errorf("%s: asked with %q", test.name, command)
			}
		})
	}
}
