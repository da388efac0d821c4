package workstation_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// guests runs a scenario with VM 140 and the given guest in this VM.
func guests(t *testing.T, guest pvetest.Guest, play func(t *testing.T, sim *pvetest.Node, agent workstation.Agent)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		host := pair()
		host.Guests = map[int]pvetest.Guest{140: guest}
		sim := pvetest.New(host, nil)
		play(t, sim, open(sim).Agent(140))
	})
}

func TestAgentWaits(t *testing.T) {
	t.Parallel()
	guests(t, pvetest.Guest{Boot: time.Minute}, func(t *testing.T, _ *pvetest.Node, agent workstation.Agent) {
		began := time.Now()
		if err := agent.Wait(t.Context(), 5*time.Minute); err != nil || time.Since(began) < 30*time.Second {
			t.Errorf("%v after %v, want to wait until the guest is up", err, time.Since(began))
		}
	})
}

func TestAgentThatNeverAnswers(t *testing.T) {
	t.Parallel()
	guests(t, pvetest.Guest{NoAgent: true}, func(t *testing.T, sim *pvetest.Node, agent workstation.Agent) {
		began := time.Now()
		if err := agent.Wait(t.Context(), time.Minute); !errors.Is(err, workstation.ErrAgent) || time.Since(began) > 2*time.Minute {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		for name, call := range map[string]func() error{
			"run": func() error {
				_, err := agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"true"}})
				return err
			},
			"write": func() error { return agent.WriteFile(t.Context(), "/x", nil) },
			"read":  func() error { _, err := agent.ReadFile(t.Context(), "/x"); return err },
			"os":    func() error { _, err := agent.OS(t.Context()); return err },
		} {
			if err := call(); !errors.Is(err, workstation.ErrAgent) {
				t.Errorf("%s: %v, want ErrAgent", name, err)
			}
		}
	})
}

func TestAgentRunsAndMovesFiles(t *testing.T) {
	t.Parallel()
	guest := pvetest.Guest{Addresses: []string{"192.168.1.40/24", "fd00::40/64"}, Exec: func(argv []string, input []byte) pvetest.Result {
		return pvetest.Result{Code: len(argv), Stdout: append([]byte("in: "), input...), Stderr: []byte("err"), After: 3 * time.Minute}
	}}
	guests(t, guest, func(t *testing.T, _ *pvetest.Node, agent workstation.Agent) {
		time.Sleep(time.Minute)
		out, err := agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"a", "b"}, Input: "x, é, 日本 \xff"})
		if err != nil || out != (proxstation.GuestOutput{Code: 2, Stdout: "in: x, é, 日本 \xff", Stderr: "err"}) {
			t.Errorf("Run = %+v, %v", out, err)
		}
		if _, err := agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"a"}, Timeout: time.Minute}); err == nil || !strings.Contains(err.Error(), "has not ended") {
			t.Errorf("a command that takes too long: %v", err)
		}
		if _, err := agent.Run(t.Context(), proxstation.GuestCommand{Input: "x"}); !errors.Is(err, workstation.ErrInvalid) {
			t.Errorf("no command: %v, want ErrInvalid", err)
		}
		if _, err := agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"a"}, Input: strings.Repeat("x", 65<<10)}); !errors.Is(err, workstation.ErrTooLarge) {
			t.Errorf("too much input: %v, want ErrTooLarge", err)
		}
		data := bytes.Repeat([]byte{0, 1, 'a', 0xff}, (45<<10)/4)
		text := []byte(strings.Repeat("text\n", 9000))
		for path, content := range map[string][]byte{"/bin": data, "/text": text} {
			if err := agent.WriteFile(t.Context(), path, content); err != nil {
				t.Errorf("writing %d bytes: %v", len(content), err)
			}
		}
		for path, content := range map[string][]byte{"/bin": data, "/text": text} {
			if got, err := agent.ReadFile(t.Context(), path); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: read %d bytes, want %d; %v", path, len(got), len(content), err)
			}
		}
		if err := agent.WriteFile(t.Context(), "/big", append(data, 1)); !errors.Is(err, workstation.ErrTooLarge) {
			t.Errorf("writing too much: %v", err)
		}
		if addresses, err := agent.Addresses(t.Context()); err != nil || fmt.Sprint(addresses) != "[192.168.1.40 fd00::40]" {
			t.Errorf("Addresses = %v, %v", addresses, err)
		}
		if info, err := agent.OS(t.Context()); err != nil || info["id"] == "" {
			t.Errorf("OS = %v, %v", info, err)
		}
	})
}

// This returns a guest that accepts a set-up script. For every other command,
// it calls the function "run" with that script.
func scripted(run func(argv []string, input []byte, body string) pvetest.Result) pvetest.Guest {
	body := ""
	return pvetest.Guest{Exec: func(argv []string, input []byte) pvetest.Result {
		if len(argv) == 5 && argv[0] == "/bin/sh" && argv[1] == "-c" && argv[4] == "/root/.proxstation-rustdesk.sh" {
			body = string(input)
			return pvetest.Result{}
		}
		return run(argv, input, body)
	}}
}

func TestSetUpRustDesk(t *testing.T) {
	t.Parallel()
	const password = "correct horse battery"
	var ran []string
	var stdin, script string
	guest := scripted(func(argv []string, input []byte, body string) pvetest.Result {
		ran, stdin, script = argv, string(input), body
		return pvetest.Result{Stdout: []byte("rustdesk: version 1.4.7\nrustdesk: changed service\nrustdesk: service running\nrustdesk: id 123456789\nrustdesk: password stored\nrustdesk: done\n"), After: time.Minute}
	})
	guests(t, guest, func(t *testing.T, sim *pvetest.Node, _ workstation.Agent) {
		config := rustdesk.Unattended(rustdesk.Server{}, proxstation.NewSecret(password))
		var told strings.Builder
		report, err := rustdesk.SetUp(t.Context(), open(sim).Agent(140), rustdesk.Setup{OS: rustdesk.Linux, Config: &config}, func(e rustdesk.Event) { fmt.Fprintf(&told, "%+v\n", e) })
		if err != nil || report.ID != "123456789" {
			t.Errorf("report %+v, %v", report, err)
		}
		if len(ran) != 2 || ran[0] != "/bin/sh" || !strings.Contains(stdin, password) {
			t.Errorf("ran %q with %d bytes of input", ran, len(stdin))
		}
		if !strings.Contains(script, "--get-id") {
			t.Errorf("the script in the guest is %q", script)
		}
		shown := told.String() + fmt.Sprint(sim.Trace()) + fmt.Sprintf("%v %+v %#v", report, config, config)
		for _, request := range sim.Trace() {
			shown += fmt.Sprint(request.Params)
		}
		if strings.Contains(shown+script, password) {
			t.Error("the password is in an event, a trace, a file or a String")
		}
	})
}

func TestSetUpRustDeskSaysWhatRuns(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		"running": "RustDesk runs; its ID is 123456789",
		"stopped": "RustDesk is there and does not run; its ID is 123456789",
	} {
		guest := pvetest.Guest{Exec: func([]string, []byte) pvetest.Result {
			return pvetest.Result{Stdout: []byte("rustdesk: version 1.4.7\nrustdesk: id 123456789\nrustdesk: service " + state + "\nrustdesk: done\n")}
		}}
		guests(t, guest, func(t *testing.T, sim *pvetest.Node, _ workstation.Agent) {
			last := ""
			_, err := rustdesk.SetUp(t.Context(), open(sim).Agent(140), rustdesk.Setup{OS: rustdesk.Linux}, func(e rustdesk.Event) { last = e.Message })
			if err != nil || last != want {
				t.Errorf("%s: %q, %v; want %q", state, last, err, want)
			}
		})
	}
}

// A set-up script runs as root, so only root may have write access to it. The
// agent alone would create a file that everybody may write to.
func TestScriptsAreRootsAlone(t *testing.T) {
	t.Parallel()
	var place []string
	guest := pvetest.Guest{Exec: func(argv []string, _ []byte) pvetest.Result {
		place = argv
		return pvetest.Result{Code: 1, Stderr: []byte("sh: 1: cannot create: Read-only file system\n")}
	}}
	guests(t, guest, func(t *testing.T, sim *pvetest.Node, _ workstation.Agent) {
		_, err := rustdesk.SetUp(t.Context(), open(sim).Agent(140), rustdesk.Setup{OS: rustdesk.Linux}, nil)
		if !errors.Is(err, rustdesk.ErrSetup) || !strings.Contains(err.Error(), "Read-only file system") || len(sim.Guest(140).Files) != 0 {
			t.Errorf("%v", err)
		}
	})
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	if len(place) != 5 {
		t.Fatalf("placed with %q", place)
	}
	file := filepath.Join(t.TempDir(), "it's a script")
	if err := os.WriteFile(file, []byte("a longer script, which was there before"), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), shell, append(slices.Clone(place[1:4]), file)...)
	cmd.Stdin = strings.NewReader("body\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "body\n" || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %q, %v", info.Mode(), text, err)
	}
}

// If the answer to a poll is lost, the poll is repeated. If the lost answer
// said how the command ended, Run returns an error, because the agent gives
// that answer only once.
func TestAgentRunOfALostPoll(t *testing.T) {
	t.Parallel()
	const path = "/nodes/pve/qemu/140/agent/exec-status"
	for kind, want := range map[pvetest.FaultKind]error{pvetest.DropBefore: nil, pvetest.ProxyDown: nil, pvetest.DropAfter: workstation.ErrNoAnswer} {
		exec := func([]string, []byte) pvetest.Result { return pvetest.Result{Code: 3} }
		guests(t, pvetest.Guest{Exec: exec}, func(t *testing.T, sim *pvetest.Node, agent workstation.Agent) {
			if err := agent.Wait(t.Context(), 5*time.Minute); err != nil {
				t.Fatal(err)
			}
			sim.Inject(pvetest.Fault{Path: path, Kind: kind})
			out, err := agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"x"}})
			if !errors.Is(err, want) || (want == nil) != (out.Code == 3) {
				t.Errorf("%s: code %d, %v", kind, out.Code, err)
			}
		})
	}
}

func TestAgentRunTimesOut(t *testing.T) {
	t.Parallel()
	exec := func([]string, []byte) pvetest.Result { return pvetest.Result{After: time.Hour} }
	guests(t, pvetest.Guest{Exec: exec}, func(t *testing.T, _ *pvetest.Node, agent workstation.Agent) {
		if err := agent.Wait(t.Context(), 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		_, err := agent.Run(t.Context(), proxstation.GuestCommand{Argv: []string{"x"}, Timeout: time.Minute})
		if !errors.Is(err, workstation.ErrTimeout) || !strings.Contains(err.Error(), "x has not ended") {
			t.Errorf("%v", err)
		}
	})
}
