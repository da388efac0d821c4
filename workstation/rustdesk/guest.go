package rustdesk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

// A Guest is the way into a guest, with the rights of root or LocalSystem. The
// agent of package workstation is a Guest (Node.Agent); a guest whose agent
// cannot run commands, such as macOS, needs another way in, such as SSH.
type Guest interface {
	// Wait waits until the guest takes commands, but no longer than atMost.
	Wait(ctx context.Context, atMost time.Duration) error
	// Run runs a command and waits for its end. An exit code other than 0 is
	// not an error.
	Run(ctx context.Context, command proxstation.GuestCommand) (proxstation.GuestOutput, error)
	// ReadFile reads a file. The error matches [fs.ErrNotExist] if the guest
	// says so in words that the way in understands.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile writes a file and replaces an existing one.
	WriteFile(ctx context.Context, path string, data []byte) error
}

// An Event is one sign of progress of work in guests.
type Event struct {
	// Guest is the name of the guest in a [Plan]; a single set-up has none.
	Guest string
	// Message says what is happening, for people.
	Message string
}

// The limits of a set-up: how long the guest may take until it takes commands,
// and how long its script may run.
const (
	waitAtMost   = 5 * time.Minute
	scriptAtMost = 20 * time.Minute
)

// scriptPaths are where a script lies in a guest: where only an administrator
// can write, because the script runs as one.
var scriptPaths = map[OS]string{
	Linux:   "/root/.proxstation-rustdesk.sh",
	Windows: `C:\Windows\proxstation-rustdesk.ps1`,
	MacOS:   "/var/root/.proxstation-rustdesk.sh",
}

// SetUp installs and configures RustDesk in a guest and returns what its script
// found, the guest's ID among it. It can be repeated: what is as wanted is left
// alone. The password and the key go over the script's standard input; they are
// in no file, event or error. A nil progress is fine.
//
// The error is a [SetupError] if the script stopped; the report then holds what
// is known so far. [Report.Judge] says what is in the way of a person who
// connects. On macOS a human has to grant permissions afterwards: see
// [MacOSTasks].
func SetUp(ctx context.Context, guest Guest, setup Setup, progress func(Event)) (Report, error) {
	script, err := setup.Script()
	if err != nil {
		return Report{}, err
	}
	output, err := runScript(ctx, guest, script, progress)
	if err != nil {
		return Report{}, err
	}
	report, err := ParseReport(output)
	if err == nil {
		state := "runs"
		if !report.Running {
			state = "is there and does not run"
		}
		message := "RustDesk " + state + "; its ID is " + string(report.ID)
		if report.Registered == proxstation.No {
			message += ", which its server has not confirmed"
		}
		say(progress, message)
	}
	return report, err
}

// SetUpServer turns a guest into a RustDesk server and returns the findings of
// its script. The report's Server can be passed to [Unattended]. SetUpServer
// can be repeated: settings that are right already are left alone. A nil
// progress is fine.
//
// The error is a [SetupError] if the script stopped.
func SetUpServer(ctx context.Context, guest Guest, setup ServerSetup, progress func(Event)) (ServerReport, error) {
	script, err := setup.Script()
	if err != nil {
		return ServerReport{}, err
	}
	output, err := runScript(ctx, guest, script, progress)
	if err != nil {
		return ServerReport{}, err
	}
	report, err := setup.ParseReport(output)
	if err == nil {
		say(progress, "RustDesk's server runs; changed: "+cmp.Or(strings.Join(report.Changed, ", "), "nothing"))
	}
	return report, err
}

func say(progress func(Event), message string) {
	if progress != nil {
		progress(Event{Message: message})
	}
}

// runScript runs a script in a guest and returns what the script printed.
func runScript(ctx context.Context, guest Guest, script Script, progress func(Event)) (string, error) {
	say(progress, "waiting until the guest takes commands")
	if err := guest.Wait(ctx, waitAtMost); err != nil {
		return "", err
	}
	say(progress, "setting RustDesk up in the guest, which may take minutes")
	path := scriptPaths[script.OS]
	if err := placeScript(ctx, guest, path, script); err != nil {
		return "", err
	}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: script.Command(path), Input: script.Stdin.Reveal(), Timeout: scriptAtMost})
	return out.Stdout, err
}

// placeScript writes a script to the path. A POSIX guest writes it by a command
// and not by [Guest].WriteFile, because the QEMU guest agent makes files that
// everybody may write (qga/commands-posix.c, safe_open_or_create).
func placeScript(ctx context.Context, guest Guest, path string, script Script) error {
	if script.OS == Windows { // where files have the rights of their directory
		return guest.WriteFile(ctx, path, []byte(script.Body))
	}
	write := []string{"/bin/sh", "-c", `umask 077 && rm -f "$1" && cat >"$1"`, "sh", path}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: write, Input: script.Body})
	if err == nil && out.Code != 0 {
		err = &SetupError{Stage: "script", Reason: "cannot write " + path + ": " + strings.TrimSpace(out.Stderr)}
	}
	return err
}

// ReadConfig reads the configuration of a guest's RustDesk from its
// [OptionsFile]. Without that file, RustDesk uses its defaults. The error comes
// from the guest or from [ParseFile], or is [ErrOS].
func ReadConfig(ctx context.Context, guest Guest, system OS) (Config, error) {
	path, err := OptionsFile.Path(system, "")
	if err != nil {
		return Config{}, err
	}
	text, err := guest.ReadFile(ctx, path)
	if err == nil {
		return ParseFile(string(text))
	}
	if errors.Is(err, fs.ErrNotExist) || system == Windows && !existsOnWindows(ctx, guest, path) {
		return Config{}, nil
	}
	return Config{}, fmt.Errorf("rustdesk: %s: %w", path, err)
}

// existsOnWindows reports false only if the guest itself says that the file
// does not exist: why a file cannot be read, Windows tells in the guest's
// language. The path has no blanks, because cmd.exe would not get quotes as it
// reads them.
func existsOnWindows(ctx context.Context, guest Guest, path string) bool {
	ask := []string{"cmd.exe", "/c", "if", "exist", path, "(echo", "yes)", "else", "echo", "no"}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: ask})
	return err != nil || out.Code != 0 || strings.TrimSpace(out.Stdout) != "no"
}
