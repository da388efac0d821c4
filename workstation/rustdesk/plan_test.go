package rustdesk_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A machine is a guest with one file. Its field "run" is the function that
// executes commands.
type machine struct {
	file string // what the options file holds; "" means that there is none
	fail error  // the error that every request returns
	run  func(proxstation.GuestCommand) proxstation.GuestOutput
	ran  []string
}

func (m *machine) Wait(context.Context, time.Duration) error { return m.fail }

func (m *machine) Run(_ context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	m.ran = append(m.ran, strings.Join(c.Argv, " "))
	if m.fail != nil || m.run == nil {
		return proxstation.GuestOutput{}, m.fail
	}
	return m.run(c), nil
}

func (m *machine) ReadFile(context.Context, string) ([]byte, error) {
	switch {
	case m.fail != nil:
		return nil, m.fail
	case m.file == "":
		return nil, fmt.Errorf("no file: %w", fs.ErrNotExist)
	}
	return []byte(m.file), nil
}

func (m *machine) WriteFile(context.Context, string, []byte) error { return m.fail }

func installed(file string) *machine { return withID(file, "123456789") }

// withID returns a machine whose RustDesk has an ID. A set-up may change the
// ID.
func withID(file, id string) *machine {
	m := &machine{file: file}
	m.run = func(c proxstation.GuestCommand) proxstation.GuestOutput {
		switch {
		case slices.Contains(c.Argv, "--get-id"):
			return proxstation.GuestOutput{Stdout: "a warning\n" + id + "\n"}
		case strings.Contains(c.Input, "new_id="):
			id = "1" + id
		}
		return proxstation.GuestOutput{Stdout: "rustdesk: version 1.4.9\nrustdesk: service running\nrustdesk: id " + id + "\nrustdesk: done\n"}
	}
	return m
}

// The method "scripts" returns the number of set-up scripts that a machine has
// run.
func (m *machine) scripts() int {
	n := 0
	for _, command := range m.ran {
		if strings.HasPrefix(command, "/bin/sh /root/") {
			n++
		}
	}
	return n
}

var ownID = rustdesk.Config{Server: rustdesk.Server{ID: "rd.example"}}

func TestPlanTouchesOnlyGuestsThatDiffer(t *testing.T) {
	t.Parallel()
	off := errors.New("switched off")
	there, fresh, gone := withID("[options]\ncustom-rendezvous-server = 'rd.example'\n", "111111111"), installed(""), &machine{fail: off}
	plan, err := rustdesk.PlanFor(t.Context(), []rustdesk.Target{
		{Name: "there", Guest: there, OS: rustdesk.Linux, Config: ownID},
		{Name: "fresh", Guest: fresh, OS: rustdesk.MacOS, Config: ownID},
		{Name: "gone", Guest: gone, OS: rustdesk.Linux, Config: ownID},
		{Name: "gone too", Guest: gone, OS: rustdesk.Windows, Config: ownID},
	})
	if err != nil || plan.Empty() || len(plan.Steps) != 1 || plan.Steps[0].Target.Name != "fresh" || len(plan.Unreached) != 2 {
		t.Fatalf("%v\n%s", err, plan)
	}
	for i, name := range []string{"gone", "gone too"} {
		if u := plan.Unreached[i]; u.Name != name || !errors.Is(u.Err, off) {
			t.Errorf("unreached: %+v, want %s", u, name)
		}
	}
	var told []string
	reports, err := plan.Apply(t.Context(), func(e rustdesk.Event) { told = append(told, e.Guest) })
	if err != nil || len(reports) != 1 || reports[0].ID != "123456789" || there.scripts() != 0 || len(fresh.ran) < 2 {
		t.Errorf("%+v, %v; ran %v", reports, err, there.ran)
	}
	if len(told) == 0 || slices.ContainsFunc(told, func(name string) bool { return name != "fresh" }) {
		t.Errorf("events of %q", told)
	}
}

func TestPlanRefusesBeforeItAsks(t *testing.T) {
	t.Parallel()
	bad := rustdesk.Config{Server: rustdesk.Server{Relay: "relay.example"}}
	_, err := rustdesk.PlanFor(t.Context(), []rustdesk.Target{{Name: "first", Guest: nil, OS: rustdesk.Linux, Config: ownID}, {Name: "second", Config: bad}})
	if !errors.Is(err, rustdesk.ErrServer) || !strings.Contains(err.Error(), "second") {
		t.Errorf("%v", err)
	}
	plan, err := rustdesk.PlanFor(t.Context(), []rustdesk.Target{{Name: "plan 9", Guest: installed(""), OS: "plan9", Config: ownID}})
	if err != nil || len(plan.Unreached) != 1 || !errors.Is(plan.Unreached[0].Err, rustdesk.ErrOS) {
		t.Errorf("%+v, %v", plan, err)
	}
}

func TestApplyStopsAtTheFirstThatFails(t *testing.T) {
	t.Parallel()
	broken := &machine{run: func(c proxstation.GuestCommand) proxstation.GuestOutput {
		if slices.Contains(c.Argv, "--get-id") {
			return proxstation.GuestOutput{Stdout: "222222222\n"}
		}
		return proxstation.GuestOutput{Stdout: "rustdesk: error service does not run\n"}
	}}
	last := withID("", "333333333")
	var targets []rustdesk.Target
	for i, m := range []*machine{installed(""), broken, last} {
		targets = append(targets, rustdesk.Target{Name: fmt.Sprint("guest ", i), Guest: m, OS: rustdesk.Linux, Config: ownID})
	}
	plan, err := rustdesk.PlanFor(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	reports, err := plan.Apply(t.Context(), nil)
	if !errors.Is(err, rustdesk.ErrSetup) || !strings.Contains(err.Error(), "guest 1") || len(reports) != 1 || last.scripts() != 0 {
		t.Errorf("%+v, %v; the last guest ran %v", reports, err, last.ran)
	}
}

func TestClonesAreFoundAndRefused(t *testing.T) {
	t.Parallel()
	targets := func(clone ...int) ([]rustdesk.Target, []*machine) {
		machines := []*machine{withID("[options]\n", "111111111"), withID("[options]\n", "222222222"), withID("[options]\n", "111111111"), withID("[options]\n", "111111111")}
		var targets []rustdesk.Target
		for i, m := range machines {
			targets = append(targets, rustdesk.Target{Name: fmt.Sprint("guest ", i), Guest: m, OS: rustdesk.Linux, Clone: slices.Contains(clone, i)})
		}
		return targets, machines
	}
	list, machines := targets(3)
	plan, err := rustdesk.PlanFor(t.Context(), list)
	if err != nil || len(plan.Clones) != 1 || plan.Clones[0].ID != "111111111" || !slices.Equal(plan.Clones[0].Names, []string{"guest 0", "guest 2"}) {
		t.Fatalf("%v\n%s", err, plan)
	}
	if !strings.Contains(plan.String(), "! rustdesk: guests share an ID 111111111: guest 0, guest 2") {
		t.Errorf("the plan does not say so:\n%s", plan)
	}
	if reports, err := plan.Apply(t.Context(), nil); !errors.Is(err, rustdesk.ErrClone) || len(reports) != 0 || machines[3].scripts() != 0 {
		t.Errorf("%+v, %v", reports, err)
	}

	list, _ = targets(1, 2, 3) // guest 1 is marked as a clone, but no target shares its ID
	plan, err = rustdesk.PlanFor(t.Context(), list)
	if err != nil || len(plan.Clones) != 0 || len(plan.Steps) != 2 || !plan.Steps[0].NewID || plan.Steps[1].Target.Name != "guest 3" {
		t.Fatalf("%v\n%s", err, plan)
	}
	reports, err := plan.Apply(t.Context(), nil)
	if !errors.Is(err, rustdesk.ErrClone) || len(reports) != 2 { // both machines make the same new ID
		t.Errorf("two guests that got one ID: %+v, %v", reports, err)
	}
	list, _ = targets(2)
	list = list[:3]
	plan, err = rustdesk.PlanFor(t.Context(), list)
	if err != nil {
		t.Fatal(err)
	}
	if reports, err := plan.Apply(t.Context(), nil); err != nil || len(reports) != 1 || reports[0].ID != "1111111111" {
		t.Errorf("%+v, %v", reports, err)
	}
	if again, err := rustdesk.PlanFor(t.Context(), list); err != nil || !again.Empty() || len(again.Clones) != 0 {
		t.Errorf("again: %v\n%s", err, again)
	}
}

func TestPlanNamesGuestsWithoutAnID(t *testing.T) {
	t.Parallel()
	bare := func() *machine {
		return &machine{run: func(proxstation.GuestCommand) proxstation.GuestOutput {
			return proxstation.GuestOutput{Code: 127}
		}}
	}
	plan, err := rustdesk.PlanFor(t.Context(), []rustdesk.Target{
		{Name: "a", Guest: bare(), OS: rustdesk.Linux, Config: ownID}, {Name: "b", Guest: bare(), OS: rustdesk.Linux, Config: ownID},
	})
	if err != nil || len(plan.NoID) != 2 || !errors.Is(plan.NoID[0].Err, rustdesk.ErrID) || len(plan.Clones) != 0 || !strings.Contains(plan.String(), "? a: its ID is unknown") {
		t.Errorf("%v\n%s", err, plan)
	}
}

// All workstations move to a self-hosted server.
func ExamplePlanFor() {
	own := rustdesk.Config{Server: rustdesk.Server{ID: "rd.example", Key: proxstation.NewSecret("OeVuKk5nlHiXp+APNn0Y3pC1Iwpwn44JGqrQCsWqmBw=")}}
	gaming, ai := installed(""), &machine{fail: errors.New("the guest is off")} // or node.Agent(140) and node.Agent(141)
	plan, err := rustdesk.PlanFor(context.Background(), []rustdesk.Target{
		{Name: "gaming", Guest: gaming, OS: rustdesk.Windows, Config: own},
		{Name: "ai", Guest: ai, OS: rustdesk.Linux, Config: own},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan)
	reports, err := plan.Apply(context.Background(), nil)
	fmt.Println(reports[0].Link(), err)
	// Output:
	// Plan for RustDesk: 1 guest to change, 1 not reached
	//
	// ~ gaming (windows)
	//     + custom-rendezvous-server: "" -> "rd.example"
	//     + key: "" -> "[secret]"
	//
	// ? ai: rustdesk: /root/.config/rustdesk/RustDesk2.toml: the guest is off
	// rustdesk://connect/123456789 <nil>
}

// A picture of the screen proves that a person who connects sees something.
func ExampleCapture() {
	var screen bytes.Buffer
	if err := png.Encode(&screen, image.NewGray(image.Rect(0, 0, 1920, 1080))); err != nil {
		fmt.Println(err)
		return
	}
	guest := installed(screen.String()) // or an agent: node.Agent(141)
	frame, err := rustdesk.Capture(context.Background(), guest, rustdesk.Linux)
	fmt.Println(frame.Width, frame.Height, "blank:", frame.Blank, err)
	// Output: 1920 1080 blank: true <nil>
}

func ExampleSetUp() {
	guest := installed("") // or an agent: node.Agent(140)
	report, err := rustdesk.SetUp(context.Background(), guest, rustdesk.Setup{OS: rustdesk.Linux}, func(e rustdesk.Event) { fmt.Println(e.Message) })
	fmt.Println(report.ID, err)
	// Output:
	// waiting until the guest takes commands
	// setting RustDesk up in the guest, which may take minutes
	// RustDesk runs; its ID is 123456789
	// 123456789 <nil>
}
