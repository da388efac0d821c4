package workstation

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/internal/pve"
)

// A SwitchError names the phase in which a switch failed, and the state in
// which the VMs are now.
type SwitchError struct {
	Phase Phase
	To    int
	// Running is the member that runs now. It is 0 if no member runs, and -1 if
	// this is unknown because a node does not answer.
	Running int
	// Returned says that the VM that ran before was started again.
	Returned bool
	// Closing says that the switch asked the guest of Running to shut down. The
	// request cannot be withdrawn, so the VM may be off later.
	Closing bool
	// Cause is the error that stopped the switch. Return is the error that
	// stopped the way back, or nil.
	Cause, Return error
	// Advice says what probably happened and what the caller can do.
	Advice []proxstation.Finding
}

// Error implements error.
func (e *SwitchError) Error() string {
	now := fmt.Sprintf("VM %d is running", e.Running)
	switch {
	case e.Returned:
		now = fmt.Sprintf("VM %d runs again", e.Running)
	case e.Closing:
		now = fmt.Sprintf("VM %d is still running, but was asked to shut down and may be off later", e.Running)
	case e.Running == e.To:
		now = fmt.Sprintf("VM %d is running and keeps the card", e.Running)
	case e.Running == 0:
		now = "none of the VMs is running"
	case e.Running < 0:
		now = "which VM is running could not be found out"
	}
	text := printable.Sprintf("workstation: switch to VM %d failed (%s): %v; %s", e.To, e.Phase, e.Cause, now)
	if e.Return != nil {
		text += printable.Sprintf("; the way back failed too: %v", e.Return)
	}
	for _, f := range e.Advice {
		text += printable.Sprintf(". %s %s", f.Why, f.Fix)
	}
	return text
}

// Unwrap returns the cause.
func (e *SwitchError) Unwrap() []error {
	if e.Return == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Return}
}

// advise judges a failed switch: it names the probable reason and the way out.
func (db DualBoot) advise(e *SwitchError, facts Facts) []proxstation.Finding {
	var findings []proxstation.Finding
	if e.Closing {
		findings = append(findings, db.adviseClosing(facts.VMs[e.Running]))
	}
	if e.Running == e.To && errors.Is(e.Cause, errNotUp) {
		findings = append(findings, db.adviseNotUp(facts.VMs[e.To], e.Cause))
	}
	seen, lost := lostCard(e.Cause)
	if !lost {
		seen, lost = lostCard(e.Return)
	}
	switch {
	case lost:
		findings = append(findings, adviseLost(proxstation.Blocker, seen, "the card does not answer any more, and no VM can start with it"))
	case errors.Is(e.Cause, errUnhealthy):
		findings = append(findings, adviseLost(proxstation.Blocker, e.Cause.Error(), "the card is not fit to be handed on"))
	case qemuFailed(e.Cause) && qemuFailed(e.Return):
		findings = append(findings, adviseLost(proxstation.Warning, e.Cause.Error(), "both VMs fail to start in QEMU, as they do when the card is gone"))
	}
	return findings
}

func (db DualBoot) adviseClosing(v VMFacts) proxstation.Finding {
	f := proxstation.Finding{ID: "switch.closing", Severity: proxstation.Warning, Subject: v.String(),
		Seen: fmt.Sprintf("the guest was asked to shut down, and is not off after %s", db.Grace),
		Why:  "The guest may still be on its way down.",
		Fix:  fmt.Sprintf("Wait until VM %d is off and switch again, or give it a longer Grace.", v.ID)}
	switch {
	case windows(v.Config):
		f.Why = "Windows may be installing updates as it shuts down, and turns off when it is done."
	case !agentEnabled(v.Config):
		f.Why = "A guest that sleeps, or in which nobody answers a dialogue, ignores the power button."
		f.Fix += fmt.Sprintf(" Look at its console, and set up the guest agent (qm set %d --agent 1).", v.ID)
	}
	return f
}

func (db DualBoot) adviseNotUp(v VMFacts, cause error) proxstation.Finding {
	f := proxstation.Finding{ID: "switch.not-up", Severity: proxstation.Warning, Subject: v.String(),
		Seen: fmt.Sprintf("%s after the start: %v", db.Boot, cause),
		Why:  "The guest may only be slow.",
		Fix:  fmt.Sprintf("Look at the screen on the card, or at the console of VM %d; to give the card back, switch to the other VM.", v.ID)}
	if windows(v.Config) {
		f.Why = "Windows may be installing updates as it starts."
	}
	return f
}

func adviseLost(severity proxstation.Severity, seen, why string) proxstation.Finding {
	return proxstation.Finding{ID: "switch.card-lost", Severity: severity, Subject: "the card", Seen: seen, Why: printable.Sentence(why),
		Fix: "Power the host off (poweroff), wait ten seconds, and switch it on: a reboot keeps the card under power and may not bring it back."}
}

// lostCard returns the line of the error that reports a lost card.
func lostCard(err error) (line string, gone bool) {
	var task *TaskError
	if !errors.As(err, &task) {
		return "", false
	}
	return pve.LostCard(append(strings.Split(task.Exit, "\n"), task.Log...))
}

// qemuFailed reports whether PVE could not start QEMU.
func qemuFailed(err error) bool {
	var task *TaskError
	return errors.As(err, &task) && strings.Contains(task.Exit, "QEMU exited")
}

// This reports whether a guest refused a request to shut down. Such a guest
// goes on running.
func refused(err error) bool {
	var task *TaskError
	return errors.As(err, &task) && strings.Contains(task.Exit, "powerdown failed") && !strings.Contains(task.Exit, "timeout")
}
