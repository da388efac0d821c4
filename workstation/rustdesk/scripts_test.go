package rustdesk

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// allScripts returns one script of every kind, by the name of the script's
// file.
func allScripts(t *testing.T) map[string]Script {
	t.Helper()
	config, move := wanted(), wanted()
	move.Password = proxstation.Secret{}
	all := map[string]Script{}
	for _, system := range []OS{Linux, MacOS, Windows} {
		extension := ".sh"
		if system == Windows {
			extension = ".ps1"
		}
		setups := map[string]Setup{"report": {OS: system}, "configure": {OS: system, Config: &config}, "move": {OS: system, Config: &move}, "clone": {OS: system, NewID: true}}
		suffixes, _ := formats(system)
		for _, suffix := range suffixes {
			setups["install"+suffix] = Setup{OS: system, Package: Package{Version{1, 4, 9}, ReleaseURL(Version{1, 4, 9}, suffix, "x86_64"), strings.Repeat("ab", 32)}, Config: &config}
		}
		for name, setup := range setups {
			script, err := setup.Script()
			if err != nil {
				t.Fatal(err)
			}
			all[string(system)+"-"+name+extension] = script
		}
	}
	for name, pkg := range map[string]Package{"report": {}, "install": {Version{1, 1, 17}, ServerReleaseURL(Version{1, 1, 17}, "hbbs", "amd64"), strings.Repeat("ab", 32)}} {
		script, err := ServerSetup{Host: "rd.example", HBBS: pkg, HBBR: pkg}.Script()
		if err != nil {
			t.Fatal(err)
		}
		all["server-"+name+".sh"] = script
	}
	script, err := healthScript("")
	if err != nil {
		t.Fatal(err)
	}
	all["server-health.sh"] = script
	for _, system := range []OS{Linux, MacOS} {
		if all[string(system)+"-frame.sh"], err = frameScript(system, ""); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestScriptsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for name, script := range allScripts(t) {
		for _, secret := range []string{testPassword, testKey} {
			if strings.Contains(script.Body, secret) {
				t.Errorf("%s holds a secret", name)
			}
		}
		if strings.ContainsFunc(script.Body, func(r rune) bool { return r > '~' || r < ' ' && r != '\n' && r != '\t' }) {
			t.Errorf("%s is not plain ASCII: Windows PowerShell would read it in the code page of its machine", name)
		}
		if len(script.Body) > 45<<10 {
			t.Errorf("%s has %d bytes: no guest agent takes it", name, len(script.Body))
		}
		if !strings.HasSuffix(script.Stdin.Reveal(), "\n") || strings.Count(script.Stdin.Reveal(), "\n") != 2 {
			t.Errorf("%s: standard input is not two lines", name)
		}
	}
}

// The Windows script looks for an installed RustDesk before it installs one.
// The test runs no PowerShell, but checks the order of these steps in the
// script's text.
func TestWindowsScriptAsksInOrder(t *testing.T) {
	t.Parallel()
	body := allScripts(t)["windows-install.msi.ps1"].Body
	at := 0
	for _, step := range []string{
		`\RustDesk\InstallState\RustDesk`, `\Uninstall\RustDesk`, "[version]$version -gt [version]'1.4.9'", "'msiexec.exe'",
		"@('--option', 'stop-service', '')", "Start-Service", "$round -le 3", "'stopped itself'",
	} {
		i := strings.Index(body[at:], step)
		if i < 0 {
			t.Errorf("no %q after the steps before it", step)
		}
		at += max(i, 0)
	}
}

func TestShellScriptsPassShellcheck(t *testing.T) {
	t.Parallel()
	shellcheck, err := exec.LookPath("shellcheck")
	if err != nil {
		t.Skip("shellcheck is not installed")
	}
	dir := t.TempDir()
	args := []string{"--shell=sh"}
	for name, script := range allScripts(t) {
		if script.OS != Windows {
			args = append(args, filepath.Join(dir, name))
			if err := os.WriteFile(filepath.Join(dir, name), []byte(script.Body), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), shellcheck, args...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPowerShellScriptsParse lets PowerShell parse the scripts if PowerShell is
// installed. If RUSTDESK_SCRIPTS names a directory, the test writes all scripts
// there for another parser.
func TestPowerShellScriptsParse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if keep := os.Getenv("RUSTDESK_SCRIPTS"); keep != "" {
		dir = keep
	}
	for name, script := range allScripts(t) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script.Body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pwsh, err := exec.LookPath("pwsh")
	if err != nil {
		t.Skip("pwsh is not installed")
	}
	const parse = `$bad = 0; Get-ChildItem -Path $env:DIR -Filter *.ps1 | ForEach-Object { $e = $null
[void][System.Management.Automation.Language.Parser]::ParseFile($_.FullName, [ref]$null, [ref]$e); $e | ForEach-Object { "$_"; $bad = 1 } }; exit $bad`
	cmd := exec.CommandContext(t.Context(), pwsh, "-NoProfile", "-NonInteractive", "-Command", parse)
	cmd.Env = append(os.Environ(), "DIR="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
