package workstation

import (
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/macos"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// The key args holds QEMU arguments that PVE appends to its own arguments
// (qm.conf manual page, args). It is merged like a property string: a wanted
// argument replaces the argument of the same kind, and arguments of other kinds
// stay in their places. An argument is an option with its values, such as
// "-global ICH9-LPC.disable_s3=1".
//
// The kind of an argument is its option and, for some options, a part of the
// value. For -global and -set, this part is the name that is set: the text
// before "=". For -device, -smbios, -object and others, it is the first part of
// the value, such as the driver or the type. QEMU accepts -cpu and some other
// options only once. Their kind is the option alone.
//
// An argument that is removed from a Spec stays in the VM, with one exception:
// a -set argument for a passed-through Intel iGPU is removed as soon as the
// Spec no longer has it. Otherwise QEMU would not start, because it refuses
// -set for a device that does not exist.

// revealOSK returns the values with an SMC's key filled in at its place in
// args.
func revealOSK(values map[string]string, osk proxstation.Secret) map[string]string {
	if osk.IsZero() || values["args"] == "" {
		return values
	}
	return withValue(values, "args", macos.RevealOSK(values["args"], osk.Reveal()))
}

func withValue(values map[string]string, key, value string) map[string]string {
	changed := map[string]string{key: value}
	for k, v := range values {
		if k != key {
			changed[k] = v
		}
	}
	return changed
}

// hideOSK removes the key of an SMC from the step's values, so that printing or
// storing the step does not reveal it. Apply sends the key separately.
func (s ChangeVM) hideOSK() ChangeVM {
	if osk := macos.OSK(s.Set["args"]); osk != "" {
		s.OSK = proxstation.NewSecret(osk)
	}
	for _, values := range []map[string]string{s.Set, s.Have} {
		if args, there := values["args"]; there {
			values["args"] = macos.HideOSK(args)
		}
	}
	return s
}

// argLines returns a change of args as lines of a plan: one line for each
// argument that is added, removed or replaced.
func argLines(have, want, note string) []StepLine {
	var lines []StepLine
	for _, c := range qmconf.ArgChanges(have, want) {
		line := StepLine{Sign: SignModify, Key: "args", Have: c.Have, Want: c.Want, Note: note}
		if c.Have == "" {
			line.Sign = SignAdd
		} else if c.Want == "" {
			line.Sign = SignDestroy
		}
		lines = append(lines, line)
	}
	if len(lines) > 0 && macos.OSKHidden(want) {
		lines[0].Note = strings.TrimPrefix(note+"; "+keyLogged, "; ")
	}
	return lines
}

// keyLogged explains what happens to the key of an SMC when args are changed;
// see MacOS.OSK of package profile.
const keyLogged = "PVE writes the whole line args into its logs, with the key"

// keyLines returns the plan's lines for a change of args that changes only the
// SMC's key. The key is hidden, so each line shows the same text as old and
// new.
func keyLines(args string) []StepLine {
	var lines []StepLine
	for _, arg := range qmconf.SplitArgs(args) {
		if text := strings.Join(arg, " "); macos.OSKHidden(text) {
			lines = append(lines, StepLine{Sign: SignModify, Key: "args", Have: text, Want: text, Note: "another key; " + keyLogged})
		}
	}
	return lines
}

// This returns a value of a configuration in a form for people.
func shown(key, value string) string {
	if key == "args" {
		return macos.HideOSK(value)
	}
	return value
}
