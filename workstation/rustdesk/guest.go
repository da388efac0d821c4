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

// A Guest is a way into a guest, with the rights of root or LocalSystem. The
// agent of package workstation is a Guest (Node.Agent). A guest whose agent
// cannot run commands, such as macOS, needs another way in, such as SSH.
type Guest interface {
	// Wait returns when the guest takes commands. It waits no longer than
	// atMost.
	Wait(ctx context.Context, atMost time.Duration) error
	// Run runs a command and returns when the command has ended. An exit code
	// other than 0 is not an error.
	Run(ctx context.Context, command proxstation.GuestCommand) (proxstation.GuestOutput, error)
	// ReadFile reads a file. If the guest reports that the file does not exist,
	// the error matches [fs.ErrNotExist]. Some guests report this in words of
	// their own language. If ReadFile does not understand them, it returns
	// another error.
	ReadFile(ctx context.Context, path string) ([]byte, error)
	// WriteFile writes a file. If the file exists already, it is replaced.
	WriteFile(ctx context.Context, path string, data []byte) error
}

// An Event reports progress of work in guests.
type Event struct {
	// Guest is the name of the guest in a [Plan]. It is empty in a single
	// set-up.
	Guest string
	// Message says what is happening, for people.
	Message string
}

// These are the limits of a set-up: the longest time until the guest takes
// commands, and the longest time for its script.
const (
	waitAtMost   = 5 * time.Minute
	scriptAtMost = 20 * time.Minute
)

// scriptPaths holds the path of a script in a guest. An administrator runs the
// script, so only an administrator may write into its directory.
var scriptPaths = map[OS]string{
	Linux:   "/root/.proxstation-rustdesk.sh",
	Windows: `C:\Windows\proxstation-rustdesk.ps1`,
	MacOS:   "/var/root/.proxstation-rustdesk.sh",
}

// SetUp installs and configures RustDesk in a guest and returns the findings of
// its script, such as the guest's ID. It can be repeated: settings that are
// right already are left alone. The password and the key go over the script's
// standard input, and appear in no file, event or error. A nil progress is
// fine.
//
// The error is a [SetupError] if the script stopped. The report then holds the
// findings so far. [Report.Judge] names the obstacles for a person who
// connects. On macOS, a person has to grant permissions afterwards: see
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

// placeScript writes a script to the path. In a POSIX guest it uses a command
// instead of [Guest].WriteFile, because files that the QEMU guest agent makes
// can be written by everybody (qga/commands-posix.c, safe_open_or_create).
func placeScript(ctx context.Context, guest Guest, path string, script Script) error {
	if script.OS == Windows { // on Windows a file inherits the rights of its directory
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
// from the guest or from [ParseFile], or matches [ErrOS].
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

// existsOnWindows reports whether a file exists. It returns false only if a
// command in the guest says that the file does not exist. The error of the
// agent cannot be used for this, because Windows writes it in the guest's
// language. The path must have no blanks, because cmd.exe would misread quotes.
func existsOnWindows(ctx context.Context, guest Guest, path string) bool {
	ask := []string{"cmd.exe", "/c", "if", "exist", path, "(echo", "yes)", "else", "echo", "no"}
	out, err := guest.Run(ctx, proxstation.GuestCommand{Argv: ask})
	return err != nil || out.Code != 0 || strings.TrimSpace(out.Stdout) != "no"
}
