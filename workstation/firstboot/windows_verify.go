package firstboot

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

// Verify inspects a Windows guest and returns a check for each wanted thing. If
// Verify cannot inspect a thing, the check's Answer is unknown. Verify always
// checks the guest agent, which runs the commands. If card is set, it checks
// the graphics card and its driver. If there is a disk for games, it checks
// drive D:. If rustDesk is set, it checks RustDesk's ID. Verify changes nothing
// in the guest. It returns an error only if it cannot run a command in the
// guest.
func (g Windows11) Verify(ctx context.Context, guest Guest, card, rustDesk bool) ([]Check, error) {
	g = g.withDefaults()
	ask := func(argv ...string) (proxstation.GuestOutput, error) {
		return guest.Run(ctx, proxstation.GuestCommand{Argv: argv, Timeout: time.Minute})
	}
	build, err := ask("cmd.exe", "/c", "ver")
	if err != nil {
		return nil, fmt.Errorf("firstboot: %w", err)
	}
	checks := []Check{yes(CheckAgent, "guest agent", "it ran cmd.exe /c ver: "+strings.TrimSpace(build.Stdout))}
	if card {
		out, err := ask(`C:\Windows\System32\nvidia-smi.exe`, "--query-gpu=name,driver_version", "--format=csv,noheader")
		checks = append(checks, windowsCard(out, err))
	}
	if g.Games != nil {
		out, err := ask("powershell.exe", "-NoProfile", "-NonInteractive", "-Command", "(Get-Volume -DriveLetter "+g.Games.Letter+").FileSystemLabel")
		checks = append(checks, g.Games.windowsDisk(out, err))
	}
	if rustDesk {
		out, err := ask(`C:\Program Files\RustDesk\RustDesk.exe`, "--get-id")
		checks = append(checks, windowsRustDesk(out, err))
	}
	return checks, nil
}

// unanswered returns the reason why a program gave no usable answer, or "" if
// it gave a usable answer.
func unanswered(program string, out proxstation.GuestOutput, err error) string {
	switch {
	case err != nil:
		return program + ": " + err.Error()
	case out.Code != 0:
		return fmt.Sprintf("%s ended with %d: %s", program, out.Code, strings.TrimSpace(out.Stdout+" "+out.Stderr))
	}
	return ""
}

func windowsCard(out proxstation.GuestOutput, err error) Check {
	const subject, why = "card", "no game can use the card without its driver"
	if reason := unanswered("nvidia-smi", out, err); reason != "" {
		return unseen(CheckCard, subject, reason, "only the driver's own tool shows whether the driver works with the card", "look in the guest's device manager for the display adapter; install NVIDIA's driver")
	}
	if strings.TrimSpace(out.Stdout) == "" {
		return no(CheckCard, subject, "nvidia-smi lists no card", why, "attach the card: hostpci0 of the VM, and start it anew; another VM may have the card")
	}
	return yes(CheckCard, subject, "nvidia-smi: "+strings.TrimSpace(out.Stdout))
}

func (d *GamesDisk) windowsDisk(out proxstation.GuestOutput, err error) Check {
	want := fmt.Sprintf("the disk in %s with the name %s belongs at %s:", d.Slot, d.Label, d.Letter)
	if reason := unanswered("Get-Volume", out, err); reason != "" {
		return unseen(CheckDisk, d.Slot, reason, want, "Get-Volume, in a PowerShell in the guest")
	}
	if label := strings.TrimSpace(out.Stdout); label != d.Label {
		return no(CheckDisk, d.Slot, fmt.Sprintf("%s: has the name %q", d.Letter, label), want, "in the guest's disk management, look which disk has the letter "+d.Letter)
	}
	return yes(CheckDisk, d.Slot, d.Letter+": "+d.Label)
}

func windowsRustDesk(out proxstation.GuestOutput, err error) Check {
	const subject = "RustDesk"
	if reason := unanswered("rustdesk.exe --get-id", out, err); reason != "" {
		return unseen(CheckRustDesk, subject, reason, "it is not known whether RustDesk is installed", "look in the guest whether the service RustDesk runs")
	}
	id := strings.TrimSpace(out.Stdout)
	if id == "" {
		return unseen(CheckRustDesk, subject, "rustdesk.exe --get-id: nothing", "the ID under which RustDesk can be reached is not known", "rustdesk.exe --get-id, in the guest, a minute after its start")
	}
	return yes(CheckRustDesk, subject, "ID "+id)
}
