package rustdesk

import (
	"errors"
	"fmt"

	"github.com/proxstation/proxstation/gpu"
)

// An OS is a guest's operating system.
type OS string

// The operating systems on which this package sets RustDesk up.
const (
	Linux   OS = "linux"
	Windows OS = "windows"
	MacOS   OS = "macos"
)

// OSOf returns the operating system of a guest, and true. For a guest whose
// system is not known, it returns false.
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

// ErrOS reports an operating system on which this package does not set RustDesk
// up.
var ErrOS = errors.New("rustdesk: unknown operating system")

// A File is one of RustDesk's configuration files.
type File string

// RustDesk's configuration files. All files of a user or of the service are in
// one directory.
const (
	// MainFile holds the ID, the stored password and the key pair. Only
	// RustDesk writes it. The scripts only check whether the file has a key
	// pair, and which servers have confirmed the key.
	MainFile File = "RustDesk.toml"
	// OptionsFile holds the options; see [Config.File].
	OptionsFile File = "RustDesk2.toml"
)

// Path returns the path of the file in a guest. If home is "", this is the path
// of the service's file. If home is a directory such as /home/ada, it is the
// path of that user's file. The error matches [ErrOS].
//
// On Windows only the service's file has an effect. On Linux and macOS, the
// RustDesk of a user who logs in takes over the service's options only if the
// service's [MainFile] has a key pair. Otherwise the user's file takes effect
// and overwrites the service's file: see [Config.File].
//
// Source: hbb_common src/config.rs, Config::path and patch. On Windows the
// service's profile is LocalService, although the service runs as LocalSystem.
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

// Paths returns every path at which RustDesk reads the file in a guest in which
// it has not run yet. The first is the path of the service's file. On Linux and
// macOS, the paths in the given home directories follow. The error matches
// [ErrOS].
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
