package workstation

import (
	"context"
	"fmt"
	"time"

	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// scriptPaths are where a set-up script lies in a guest: where only an
// administrator can write, because it runs as one.
var scriptPaths = map[rustdesk.OS]string{
	rustdesk.Linux:   "/root/.proxstation-rustdesk.sh",
	rustdesk.Windows: `C:\Windows\proxstation-rustdesk.ps1`,
	rustdesk.MacOS:   "/var/root/.proxstation-rustdesk.sh",
}

// SetUpRustDesk installs and configures RustDesk in a guest through its agent
// and returns what it found, the guest's ID among it. It can be repeated: what
// is as wanted is left alone. The password and the key go over the command's
// input, and are in no file, event or error.
//
// The error is a [rustdesk.SetupError] if the script stopped, beside what is
// known so far. A macOS guest asks a human for its permissions: see
// [rustdesk.MacOSTasks].
func (n *Node) SetUpRustDesk(ctx context.Context, vmid int, setup rustdesk.Setup, progress func(Event)) (rustdesk.Report, error) {
	script, err := setup.Script()
	if err != nil {
		return rustdesk.Report{}, err
	}
	agent := n.Agent(vmid)
	if err := agent.Wait(ctx, 5*time.Minute, progress); err != nil {
		return rustdesk.Report{}, err
	}
	path, known := scriptPaths[script.OS]
	if !known {
		return rustdesk.Report{}, fmt.Errorf("workstation: VM %d: no way to run a script on %q: %w", vmid, script.OS, ErrInvalid)
	}
	report := reporter{report: progress}
	report.enter(PhaseApply, vmid, "setting RustDesk up in the guest, which may take minutes")
	if err := agent.WriteFile(ctx, path, []byte(script.Body)); err != nil {
		return rustdesk.Report{}, err
	}
	out, err := agent.Run(ctx, Command{Argv: script.Command(path), Input: script.Stdin.Reveal(), Timeout: 20 * time.Minute})
	if err != nil {
		return rustdesk.Report{}, err
	}
	result, err := rustdesk.ParseReport(out.Stdout)
	if err == nil {
		report.enter(PhaseDone, vmid, "RustDesk runs; its ID is "+string(result.ID))
	}
	return result, err
}
