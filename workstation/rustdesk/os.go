package rustdesk

import (
	"errors"
	"fmt"
)

// An OS is a guest's operating system.
type OS string

// The operating systems RustDesk is set up on.
const (
	Linux   OS = "linux"
	Windows OS = "windows"
	MacOS   OS = "macos"
)

// ErrOS is an operating system that is none of the above.
var ErrOS = errors.New("rustdesk: unknown operating system")

// A File is one of RustDesk's configuration files.
type File string

// The files, each beside the other in every place RustDesk looks.
const (
	// MainFile holds the id, the stored password and the key pair. It is
	// RustDesk's alone: we read and write none of it.
	MainFile File = "RustDesk.toml"
	// OptionsFile holds the options; see [Config.File].
	OptionsFile File = "RustDesk2.toml"
)

// Path returns where a guest keeps the file. With the home directory "" it is
// the service's: the one that counts, because the server of a user who logs
// in takes over what the service has. With a home directory, such as
// /home/ada, it is that user's. The error is [ErrOS].
//
// Source: hbb_common src/config.rs, Config::path and patch; on Windows the
// service's profile is LocalService even though it runs as LocalSystem.
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

func orDefault(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
