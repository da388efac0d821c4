package board

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// The function "on" returns a view in which Windows runs.
func on() View {
	since := noon.Add(-3 * time.Hour)
	return View{At: noon, Host: "pve", Running: 140, RunningName: "Windows", grace: 3 * time.Minute, boot: 5 * time.Minute, Systems: []System{
		{VMID: 140, Name: "Windows", On: true, Since: &since, CanSwitch: proxstation.Yes}, {VMID: 141, Name: "Linux", CanSwitch: proxstation.Yes}}}
}

func TestRefuse(t *testing.T) {
	t.Parallel()
	zero, windows := 0, 140
	tests := []struct {
		name   string
		change func(*View)
		order  Order
		want   string
	}{
		{"a switch", func(*View) {}, Order{Action: ActionSwitch, VMID: 141}, ""},
		{"as it was told", func(*View) {}, Order{Action: ActionSwitch, VMID: 141, From: &windows}, ""},
		{"not as it was told", func(*View) {}, Order{Action: ActionSwitch, VMID: 141, From: &zero}, CodeChanged},
		{"to what runs", func(v *View) { v.Systems[0].CanSwitch = proxstation.No }, Order{Action: ActionSwitch, VMID: 140}, ""},
		{"a stranger", func(*View) {}, Order{Action: ActionSwitch, VMID: 142}, CodeUnknown},
		{"blocked", func(v *View) { v.Systems[1].CanSwitch = proxstation.No }, Order{Action: ActionSwitch, VMID: 141}, CodeBlocked},
		{"perhaps blocked", func(v *View) { v.Systems[1].CanSwitch = proxstation.Unknown }, Order{Action: ActionSwitch, VMID: 141}, ""},
		{"blocked, to shut down", func(v *View) { v.Systems[0].CanSwitch = proxstation.No }, Order{Action: ActionShutdown, VMID: 140}, ""},
		{"no answer", func(v *View) { v.Trouble = &Trouble{} }, Order{Action: ActionShutdown, VMID: 140}, CodeNoAnswer},
		{"never an answer", func(v *View) { v.Systems = nil }, Order{Action: ActionSwitch, VMID: 140}, CodeNoAnswer},
		{"leased", func(v *View) { v.Lease = &Lease{ID: "x", SecondsLeft: 9} }, Order{Action: ActionSwitch, VMID: 141}, CodeLeased},
		{"a shutdown is leased too", func(v *View) { v.Lease = &Lease{ID: "x", SecondsLeft: 9} }, Order{Action: ActionShutdown, VMID: 140}, CodeLeased},
		{"another lease", func(v *View) { v.Lease = &Lease{ID: "x", SecondsLeft: 9} }, Order{Action: ActionSwitch, VMID: 141, TakeOver: "y"}, CodeLeased},
		{"taken over", func(v *View) { v.Lease = &Lease{ID: "x", SecondsLeft: 9} }, Order{Action: ActionSwitch, VMID: 141, TakeOver: "x"}, ""},
		{"an old lease", func(v *View) { v.Lease = &Lease{ID: "x"} }, Order{Action: ActionSwitch, VMID: 141}, ""},
		{"off or away, to shut down", func(v *View) { v.Systems[1].Away = true }, Order{Action: ActionShutdown, VMID: 141}, CodeNoAnswer},
		{"our own lease", func(v *View) { v.Lease = &Lease{ID: "x", SecondsLeft: 9, Ours: true} }, Order{Action: ActionSwitch, VMID: 141}, ""},
	}
	for _, test := range tests {
		v := on()
		test.change(&v)
		got := ""
		if r := refuse(v, test.order); r != nil {
			got = r.Code
		}
		if got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	failed := func(e workstation.SwitchError) error { e.To, e.Cause = 141, errors.New("workstation: it"); return &e }
	late := &workstation.SwitchError{Phase: workstation.PhaseUp, To: 141, Running: 141, Cause: fmt.Errorf("late: %w", workstation.ErrTimeout)}
	tests := []struct {
		action Action
		err    error
		want   string
	}{
		{ActionSwitch, nil, "Linux has the card."},
		{ActionShutdown, nil, "Linux is off."},
		{ActionSwitch, &workstation.BlockedError{Findings: []proxstation.Finding{locked}}, "Linux was not started, and nothing was changed."},
		{ActionSwitch, fmt.Errorf("workstation: %w: sofa", workstation.ErrLeased), "Another controller is at work, so nothing was changed."},
		{ActionSwitch, errors.New("workstation: what"), "The switch to Linux did not work."},
		{ActionShutdown, workstation.ErrTimeout, "Linux did not shut down in 3 min, and is still on."},
		{ActionShutdown, context.Canceled, "Linux was asked to shut down, and may be off later: the switchboard was stopped before."},
		{ActionSwitch, failed(workstation.SwitchError{Phase: workstation.PhaseStop, Running: 140, Closing: true}), "Linux did not get the card. Windows is still on, but was asked to shut down and may be off later."},
		{ActionSwitch, failed(workstation.SwitchError{Phase: workstation.PhaseStop, Running: 140}), "Linux did not get the card. Windows is still on."},
		{ActionSwitch, failed(workstation.SwitchError{Phase: workstation.PhaseFree}), "Linux was not started. Nothing runs now."},
		{ActionSwitch, failed(workstation.SwitchError{Phase: workstation.PhaseStart, Running: 140, Returned: true}), "Linux did not come up. Windows runs again."},
		{ActionSwitch, failed(workstation.SwitchError{Phase: workstation.PhaseStart, Running: -1}), "Linux did not come up. Which system runs is not known, because pve does not answer."},
		{ActionSwitch, failed(workstation.SwitchError{Phase: workstation.PhaseUp, Running: 141}), "Linux did not come up. It keeps the card."},
		{ActionSwitch, late, "Linux has started, but is not up after 5 min. It keeps the card."},
	}
	for _, test := range tests {
		j := &job{id: "x", order: Order{Action: test.action, VMID: 141}}
		o := outcome(j, test.err, on())
		if o.Title != test.want || o.OK != (test.err == nil) || o.OK && len(o.Detail)+len(o.Findings) > 0 {
			t.Errorf("%v: %+v, want %q", test.err, o, test.want)
		}
		if strings.Contains(strings.Join(o.Detail, ""), "workstation: ") {
			t.Errorf("%v: the detail names a package: %q", test.err, o.Detail)
		}
	}
	for name, test := range map[string]struct {
		change func(*View)
		want   string
		ok     bool
	}{
		"on":        {func(v *View) { v.Running = 141 }, "Linux was not shut down, and is still on.", false},
		"off":       {func(*View) {}, "Linux is off.", true},
		"no answer": {func(v *View) { v.Trouble = &Trouble{} }, "It is not known whether Linux shuts down.", false},
	} {
		v := on()
		test.change(&v)
		if o := outcome(&job{order: Order{Action: ActionShutdown, VMID: 141}}, errors.New("refused"), v); o.Title != test.want || o.OK != test.ok || len(o.Detail) != 1 {
			t.Errorf("a shutdown that PVE refuses, %s: %+v", name, o)
		}
	}
	both := &workstation.SwitchError{To: 141, Cause: errors.New("a"), Return: errors.New("b")}
	if o := outcome(&job{order: Order{Action: ActionSwitch, VMID: 141}, warned: []string{"w"}}, both, on()); !slices.Equal(o.Detail, []string{"w", "a", "The way back failed too: b"}) {
		t.Errorf("%q", o.Detail)
	}
	if o := outcome(&job{off: true, order: Order{Action: ActionShutdown, VMID: 141}}, nil, on()); o.Title != "Linux is off already." || !o.OK {
		t.Errorf("%+v", o)
	}
}

func TestSteps(t *testing.T) {
	t.Parallel()
	phase := func(p workstation.Phase) workstation.Event { return workstation.Event{Phase: p} }
	tests := []struct {
		job  job
		want string
	}{
		{job{from: 140, event: phase(workstation.PhaseLease)}, "Check now, Shut down Windows todo, Start Linux todo, Wait until Linux is up todo"},
		{job{from: 140, event: phase(workstation.PhaseFree)}, "Check done, Shut down Windows now, Start Linux todo, Wait until Linux is up todo"},
		{job{event: phase(workstation.PhaseUp)}, "Check done, Start Linux done, Wait until Linux is up now"},
		{job{from: 140, event: phase(workstation.PhaseDone)}, "Check done, Shut down Windows done, Start Linux done, Wait until Linux is up done"},
		{job{from: 140, back: true, reached: 3, event: phase(workstation.PhaseRollback)}, "Check done, Shut down Windows done, Start Linux failed, Go back to Windows now"},
		{job{from: 140, back: true, reached: 2, event: phase(workstation.PhaseRollback)}, "Check done, Shut down Windows failed, Go back to Windows now"},
		{job{order: Order{Action: ActionShutdown}, event: phase(workstation.PhaseStop)}, "Shut down Linux now"},
	}
	for _, test := range tests {
		test.job.order.VMID = 141
		var got []string
		for _, s := range test.job.steps(on()) {
			if got = append(got, s.Text+" "+s.State); s.Says() == "" {
				t.Errorf("%s has no words", s.State)
			}
		}
		if text := strings.Join(got, ", "); text != test.want {
			t.Errorf("%s\nwant %s", text, test.want)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	for phase, want := range map[workstation.Phase]string{
		workstation.PhaseLease: "Waiting for another controller", workstation.PhaseCheck: "Checking whether Windows can start", workstation.PhaseStop: "Windows is shutting down",
		workstation.PhaseFree: "Waiting until Windows is off", workstation.PhaseStart: "Windows is starting", workstation.PhaseUp: "Waiting until Windows is up",
		workstation.PhaseRollback: "Going back to Linux", workstation.PhaseDone: "Windows is up",
	} {
		j := &job{order: Order{VMID: 141}, from: 141, event: workstation.Event{Phase: phase, VMID: 140}}
		if got := j.text(on()); got != want {
			t.Errorf("%s: %q, want %q", phase, got, want)
		}
	}
	for lease, want := range map[Lease]string{
		{Owner: "sofa", To: 141, From: 140, Phase: workstation.PhaseFree}: "sofa is switching to Linux. Last: Waiting until Windows is off.",
		{Owner: "sofa", To: 141, Phase: workstation.PhaseStart}:           "sofa is switching to Linux. Last: Linux is starting.",
		{Owner: "sofa", Phase: workstation.PhaseCheck}:                    "sofa is at work. Last: Checking whether VM 0 can start.",
		{Ours: true, To: 140, Phase: workstation.PhaseUp}:                 "A switch to Windows was cut off. Last: Waiting until Windows is up.",
	} {
		if got := lease.Text(on()) + " " + lease.Doing(on()); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 0: "0 s", 59 * time.Second: "59 s", time.Minute: "1 min", 100 * time.Second: "1 min 40 s",
		3 * time.Hour: "3 h", 3*time.Hour + 12*time.Minute + 9*time.Second: "3 h 12 min", 26 * time.Hour: "1 d 2 h", 48*time.Hour + time.Minute: "2 d"} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
	if got := ago(59 * time.Second); got != "less than a minute" {
		t.Errorf("%q", got)
	}
}

func TestStorages(t *testing.T) {
	t.Parallel()
	pool := func(name string, tier storage.Tier, used, total int64, content ...string) storage.Pool {
		return storage.Pool{Storage: storage.Storage{Name: name, Active: true, Used: storage.Size(used), Total: storage.Size(total), Content: content}, Tier: tier}
	}
	v := View{Pools: pools([]storage.Pool{pool("bulk", storage.Tier3, 95, 100, "images"), pool("what", storage.TierUnknown, 0, 0, "images"),
		pool("fast", storage.Tier1, 1<<30, 229<<30, "images", "rootdir"), pool("disc", storage.Tier1, 76<<30, 100<<30, "rootdir"), pool("iso", storage.Tier1, 1, 2, "iso")})}
	var got []string
	for _, tier := range v.Tiers() {
		got = append(got, tier.Title)
		for _, p := range tier.Pools {
			got = append(got, p.Name+" "+p.Level()+" "+p.Fill())
		}
	}
	want := []string{"Tier 1 · NVMe", "disc high 76 % of 100 GiB", "fast fine 0 % of 229 GiB", "Tier 3 · HDD", "bulk full 95 % of 100 B", "Tier not known", "what fine 0 % of 0 B"}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if p := (Pool{TotalBytes: 59 << 38}); p.Fill() != "not active" || p.Level() != "absent" {
		t.Errorf("%s %s", p.Fill(), p.Level())
	}
	if p := (Pool{Active: true, TotalBytes: 5<<40 + 4<<38}); p.Fill() != "0 % of 6 TiB" {
		t.Errorf("%s", p.Fill())
	}
}

func TestWhatTheVerdictSays(t *testing.T) {
	t.Parallel()
	find := func(severities ...proxstation.Severity) View {
		v := View{}
		for _, s := range severities {
			v.Findings = append(v.Findings, proxstation.Finding{Severity: s})
		}
		v.Verdict = verdict(v.Findings)
		return v
	}
	for want, v := range map[string]View{
		"The host is in order. 0 notes": find(), "The host is in order. 1 note": find(proxstation.Info),
		"1 thing to look at 2 findings": find(proxstation.Warning, proxstation.Info), "2 things to mend 2 findings": find(proxstation.Blocker, proxstation.Warning),
	} {
		if got := v.VerdictText() + " " + v.FindingsTitle(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	info := proxstation.Finding{Severity: proxstation.Info}
	for want, s := range map[string]System{
		"":                              {CanSwitch: proxstation.Yes},
		"Good to know: 1 thing":         {CanSwitch: proxstation.Yes, Reasons: []proxstation.Finding{info}},
		"Why not? 2 reasons":            {CanSwitch: proxstation.No, Reasons: []proxstation.Finding{locked, info, locked}},
		"It may not start: 1 thing":     {CanSwitch: proxstation.Unknown, Reasons: []proxstation.Finding{info}},
		"\x00running systems need none": {CanSwitch: proxstation.No, On: true, Reasons: []proxstation.Finding{locked}},
	} {
		got := ""
		if why := s.Why(); why != nil {
			got = why.Title
		}
		if strings.HasPrefix(want, "\x00") {
			want = ""
		}
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCardsName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"GB203 [GeForce RTX 5070 Ti]": "GeForce RTX 5070 Ti", "Radeon": "Radeon", "": "", "a [b": "b"} {
		if got := short(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
