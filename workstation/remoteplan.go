package workstation

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// A RemoteGuest is a guest whose RustDesk should be configured in a way.
type RemoteGuest struct {
	VMID   int
	OS     rustdesk.OS
	Config rustdesk.Config
}

// A RemotePlan is what has to change in the RustDesk of some guests, such as
// to move them all from the public servers to an own one. Its String shows no
// secret. It cannot tell whether a password is already the one that is asked
// for, because RustDesk never tells: one that is given is always set.
type RemotePlan struct {
	Steps []RemoteStep
	// Unreached are guests whose configuration could not be read, with the
	// reason; nothing is planned for them.
	Unreached map[int]error
}

// A RemoteStep is the change of one guest.
type RemoteStep struct {
	Guest   RemoteGuest
	Changes []rustdesk.Change
}

// Empty reports whether nothing has to be done.
func (p RemotePlan) Empty() bool { return len(p.Steps) == 0 }

// String returns the plan as a diff.
func (p RemotePlan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Plan for RustDesk: %s to change, %d not reached\n", count(len(p.Steps), "guest"), len(p.Unreached))
	for _, step := range p.Steps {
		fmt.Fprintf(&b, "\n~ VM %d (%s)\n", step.Guest.VMID, step.Guest.OS)
		for _, change := range step.Changes {
			fmt.Fprintf(&b, "    %s\n", change)
		}
	}
	for _, vmid := range sortedIDs(p.Unreached) {
		fmt.Fprintf(&b, "\n? VM %d: %v\n", vmid, p.Unreached[vmid])
	}
	return b.String()
}

// PlanRustDesk reads the RustDesk configuration of every guest through its
// agent, all at the same time, and returns what has to change. A guest whose
// agent does not answer is in RemotePlan.Unreached and stops nobody else. The
// error is for a configuration that RustDesk would misread
// ([rustdesk.Config.Validate]), or a context that ended. It needs what
// [Agent.ReadFile] does; for a Windows guest without RustDesk's file, what
// [Agent.Run] does.
func (n *Node) PlanRustDesk(ctx context.Context, guests []RemoteGuest) (RemotePlan, error) {
	steps, failures := make([]RemoteStep, len(guests)), make([]error, len(guests))
	var group errgroup.Group
	for i, g := range guests {
		if err := g.Config.Validate(); err != nil {
			return RemotePlan{}, fmt.Errorf("workstation: VM %d: %w", g.VMID, err)
		}
		group.Go(func() error {
			have, err := n.rustDeskConfig(ctx, g)
			steps[i], failures[i] = RemoteStep{Guest: g, Changes: rustdesk.Diff(have, g.Config)}, err
			return nil
		})
	}
	_ = group.Wait() // failures are kept by guest
	plan := RemotePlan{Unreached: map[int]error{}}
	for i, g := range guests {
		switch {
		case failures[i] != nil:
			plan.Unreached[g.VMID] = failures[i]
		case len(steps[i].Changes) > 0:
			plan.Steps = append(plan.Steps, steps[i])
		}
	}
	return plan, context.Cause(ctx)
}

// rustDeskConfig reads what a guest's RustDesk has. A guest without the file
// has the defaults.
func (n *Node) rustDeskConfig(ctx context.Context, g RemoteGuest) (rustdesk.Config, error) {
	path, err := rustdesk.OptionsFile.Path(g.OS, "")
	if err != nil {
		return rustdesk.Config{}, err
	}
	text, err := n.Agent(g.VMID).ReadFile(ctx, path)
	if err != nil {
		if n.noSuchFile(ctx, g, path, err) {
			err = nil
		}
		return rustdesk.Config{}, err
	}
	return rustdesk.ParseFile(string(text))
}

// noSuchFile reports whether a file could not be read because there is none.
// On Windows the agent says why in the guest's language
// (qga/commands-win32.c), so that the guest is asked. The path has no blanks:
// quotes would not reach cmd.exe as it reads them.
func (n *Node) noSuchFile(ctx context.Context, g RemoteGuest, path string, err error) bool {
	var refused *RequestError
	if !errors.As(err, &refused) || errors.Is(err, ErrAgent) {
		return false
	}
	message := strings.ToLower(refused.Message)
	if strings.Contains(message, "no such file") {
		return true
	}
	if g.OS != rustdesk.Windows || !strings.Contains(message, "failed to open file") {
		return false
	}
	out, err := n.Agent(g.VMID).Run(ctx, Command{Argv: []string{"cmd.exe", "/c", "if", "exist", path, "(echo", "yes)", "else", "echo", "no"}})
	return err == nil && out.Code == 0 && strings.TrimSpace(out.Stdout) == "no"
}

// ApplyRustDesk does what a plan says, one guest after the other, so that a
// mistake does not lock the caller out of all of them at once. It stops at the
// first that fails, with the error of [Node.SetUpRustDesk] and the reports of
// those before it; the plan can be made again then, and goes on there.
func (n *Node) ApplyRustDesk(ctx context.Context, plan RemotePlan, progress func(Event)) (map[int]rustdesk.Report, error) {
	reports := map[int]rustdesk.Report{}
	for _, step := range plan.Steps {
		report, err := n.SetUpRustDesk(ctx, step.Guest.VMID, rustdesk.Setup{OS: step.Guest.OS, Config: &step.Guest.Config}, progress)
		if err != nil {
			return reports, fmt.Errorf("workstation: VM %d: %w", step.Guest.VMID, err)
		}
		reports[step.Guest.VMID] = report
	}
	return reports, nil
}
