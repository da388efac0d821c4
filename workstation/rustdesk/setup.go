package rustdesk

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// A Package is an installer of RustDesk, or of a program of its server. The
// zero Package stands for no package.
type Package struct {
	// Version is the release that the package installs.
	Version Version `json:"version"`
	// URL is the address from which the guest fetches the package, with http or
	// https and without credentials. Its path ends in .deb, .rpm or
	// .pkg.tar.zst for Linux, .msi for Windows, .dmg for macOS. See
	// [ReleaseURL].
	URL string `json:"url"`
	// SHA256 is the checksum in hexadecimal. A download with another checksum is
	// thrown away, and nothing is installed.
	SHA256 string `json:"sha256"`
}

// A Setup describes the RustDesk of one guest. It can be repeated: settings
// that are right already are left alone. If an option changes, RustDesk's
// service is restarted, which ends all open connections.
type Setup struct {
	// OS is the guest's operating system.
	OS OS `json:"os"`
	// Package is installed if the guest has no RustDesk, or another version.
	// The zero Package installs nothing, and expects that RustDesk is
	// installed. Windows' installer refuses a version older than the installed
	// one.
	Package Package `json:"package,omitzero"`
	// Config is the configuration that the guest's RustDesk should have. Nil
	// changes no option.
	Config *Config `json:"config,omitempty"`
	// NewID gives the guest a random new ID and new keys each time. It is for a
	// guest that was cloned with RustDesk installed. Password and options stay.
	// It needs an installed RustDesk, or a Package.
	NewID bool `json:"newID,omitempty"`
}

// A Script is a program for a guest. Store Body in a file in the guest. Run
// [Script.Command] as root or LocalSystem, with Stdin as its standard input.
// Give the output to [ParseReport] or [ServerSetup.ParseReport], whatever the
// exit status is.
type Script struct {
	// OS is the guest's operating system.
	OS OS
	// Body is the program. It contains no secret.
	Body string
	// Stdin is the program's standard input: a line with the password and a
	// line with the server's key. A line is empty if that secret is not set.
	// The input must always be given, and must end.
	Stdin proxstation.Secret
}

// ErrPackage reports a [Package] that cannot be installed.
var ErrPackage = errors.New("rustdesk: package")

// Command returns the command that runs the script. The script's body must be
// in the file at path.
func (s Script) Command(path string) []string {
	if s.OS == Windows {
		return []string{"powershell.exe", "-NoProfile", "-NonInteractive", "-ExecutionPolicy", "Bypass", "-File", path}
	}
	return []string{"/bin/sh", path}
}

// Script renders the setup. The error matches [ErrOS], [ErrPackage],
// [ErrConfig], [ErrServer] or [ErrVersion].
func (s Setup) Script() (Script, error) { return s.script("") }

// The method "script" renders the setup. All paths of the guest in it are below
// root, which is "" for a real guest.
func (s Setup) script(root string) (Script, error) {
	suffixes, known := formats(s.OS)
	if !known {
		return Script{}, fmt.Errorf("%w %q", ErrOS, string(s.OS))
	}
	if err := s.validate(suffixes); err != nil {
		return Script{}, err
	}
	in := scriptInput{Setup: s, Root: root}
	stdin := "\n\n"
	if s.Config != nil {
		in.Options = optionList(*s.Config)
		in.Ports = s.Config.Server.ports()
		in.Password, in.Secrets = !s.Config.Password.IsZero(), s.Config.secrets()
		stdin = s.Config.Password.Reveal() + "\n" + s.Config.Server.Key.Reveal() + "\n"
	}
	for _, suffix := range suffixes {
		if strings.HasSuffix(s.Package.URL, suffix) {
			in.Suffix = suffix
		}
	}
	body, err := render(string(s.OS), in)
	return Script{OS: s.OS, Body: body, Stdin: proxstation.NewSecret(stdin)}, err
}

func formats(os OS) (suffixes []string, known bool) {
	switch os {
	case Linux:
		return []string{".deb", ".rpm", ".pkg.tar.zst"}, true
	case Windows:
		return []string{".msi"}, true
	case MacOS:
		return []string{".dmg"}, true
	}
	return nil, false
}

func (s Setup) validate(suffixes []string) error {
	secrets := false
	if s.Config != nil {
		if err := s.Config.Validate(); err != nil {
			return err
		}
		secrets = s.Config.secrets()
	}
	if s.Package == (Package{}) {
		return nil
	}
	if err := s.Package.validate(s.OS, suffixes); err != nil {
		return err
	}
	if s.Config != nil && !s.Package.Version.Has(SetsOptions) {
		return fmt.Errorf("%w %s: cannot be configured, want %s or newer", ErrVersion, s.Package.Version, SetsOptions.Since())
	}
	if secrets && !s.Package.Version.Has(KeepsSecrets) {
		return fmt.Errorf("%w %s: writes passwords and keys to its log, want %s or newer", ErrVersion, s.Package.Version, KeepsSecrets.Since())
	}
	return nil
}

func (p Package) validate(system OS, suffixes []string) error {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.ContainsFunc(p.URL, unprintable) || strings.ContainsAny(p.URL, `"\`) {
		return fmt.Errorf("%w: want a URL with http or https", ErrPackage)
	}
	if u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%w: URL at %s: has credentials or a query", ErrPackage, u.Host)
	}
	if !slices.ContainsFunc(suffixes, func(suffix string) bool { return strings.HasSuffix(u.Path, suffix) }) {
		return fmt.Errorf("%w: %s: a %s guest takes %s", ErrPackage, p.URL, system, strings.Join(suffixes, ", "))
	}
	if sum, err := hex.DecodeString(p.SHA256); err != nil || len(sum) != 32 {
		return fmt.Errorf("%w: %s: SHA256 %q: want 64 hexadecimal digits", ErrPackage, p.URL, p.SHA256)
	}
	return nil
}

// ReleaseURL returns the address at which RustDesk's makers publish a package
// of a release. The parameter "suffix" is the package's suffix (".deb" and so on;
// see [Package]). The parameter "arch" is the guest's architecture, "x86_64" or
// "aarch64". The suffix "-suse.rpm" selects the package for openSUSE and SLE.
// The suffix ".rpm" selects the package for Fedora, whose dependencies have
// other names. The checksum is on the release's page.
//
// Source: .github/workflows/flutter-build.yml, res/rpm-flutter.spec,
// res/rpm-flutter-suse.spec and res/PKGBUILD.
func ReleaseURL(v Version, suffix, arch string) string {
	name := "rustdesk-" + v.String()
	switch suffix {
	case ".rpm", "-suse.rpm":
		name += "-0." + arch
	case ".pkg.tar.zst":
		name += "-0-" + arch
	default:
		name += "-" + arch
	}
	return "https://github.com/rustdesk/rustdesk/releases/download/" + v.String() + "/" + name + suffix
}
