package rustdesk

import (
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/gpu"
)

// An OS is a guest's operating system.
type OS string

// The operating systems RustDesk is set up on.
const (
	Linux   OS = "linux"
	Windows OS = "windows"
	MacOS   OS = "macos"
)

// OSOf returns the operating system of a guest. It reports false for a guest
// whose system is not known.
func OSOf(guest gpu.Guest) (OS, bool) {
	switch {
	case guest == gpu.Linux:
		return Linux, true
	case guest.IsWindows():
		return Windows, true
	case guest.IsMacOS():
		return MacOS, true
	}
	return "", false
}

// ErrOS reports an operating system on which RustDesk is not set up here.
var ErrOS = errors.New("rustdesk: unknown operating system")

// A File is one of RustDesk's configuration files.
type File string

// The files, each beside the other in every place RustDesk looks.
const (
	// MainFile holds the ID, the stored password and the key pair. It is
	// RustDesk's alone: the scripts only look whether there is a key pair, and
	// which servers have confirmed it.
	MainFile File = "RustDesk.toml"
	// OptionsFile holds the options; see [Config.File].
	OptionsFile File = "RustDesk2.toml"
)

// Path returns where a guest keeps the file: the service's with the home
// directory "", a user's with the user's home, such as /home/ada. The error is
// [ErrOS].
//
// On Windows the service's file counts. On Linux and macOS the RustDesk of a
// user who logs in takes over the service's options only if the service's
// [MainFile] has a key pair; otherwise the user's file counts, and overwrites
// the service's: see [Config.File].
//
// Source: hbb_common src/config.rs, Config::path and patch; on Windows the
// service's profile is LocalService although it runs as LocalSystem.
func (f File) Path(os OS, home string) (string, error) {
	switch os {
	case Linux:
		return orDefault(home, "/root") + "/.config/rustdesk/" + string(f), nil
	case MacOS:
		return orDefault(home, "/var/root") + "/Library/Preferences/com.carriez.RustDesk/" + string(f), nil
	case Windows:
		home = orDefault(home, `C:\Windows\ServiceProfiles\LocalService`)
		return home + `\AppData\Roaming\RustDesk\config\` + string(f), nil
	}
	return "", fmt.Errorf("%w %q", ErrOS, string(os))
}

// Paths returns every path at which the file counts in a guest on which RustDesk
// has not yet run: the service's, and on Linux and macOS those of the users with
// the homes. The error is [ErrOS].
func (f File) Paths(os OS, homes ...string) ([]string, error) {
	if os == Windows {
		homes = nil
	}
	var paths []string
	for _, home := range append([]string{""}, homes...) {
		path, err := f.Path(os, home)
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
