package firstboot

import (
	"bytes"
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"text/template"
)

// The paths of the set-up in a Windows guest. Only administrators may write in
// C:\Windows.
const (
	// WindowsState is the file in which the set-up records its phase.
	// [ParseState] reads it.
	WindowsState = windowsDir + `\firstboot.state`
	// WindowsLog is the log of the set-up.
	WindowsLog = windowsDir + `\firstboot.log`

	windowsDir = `C:\Windows\proxstation`
	baseScript = "firstboot.ps1"
	diskScript = "firstboot-disk.cmd"
)

// The constant letters holds the drive letters that the CDs may have in
// Windows' installer. Their order is not known (quickemu issue 1475). X:
// belongs to the installer itself.
const letters = "CDEFGHIJKLM"

// rdpRules is the name of the firewall's group of rules for Remote Desktop. It
// is the same in every language (cschneegans/unattend-generator
// modifier/Optimizations.cs).
const rdpRules = "@FirewallAPI.dll,-28752"

// runScript is the command that starts the set-up's script.
const runScript = `powershell.exe -NoProfile -NonInteractive -ExecutionPolicy Bypass -File ` + windowsDir + `\` + baseScript

// firstLogon is the command that registers the script as a task. The task runs
// as LocalSystem at each start until the set-up is complete. Without the task,
// a restart would end the set-up, because FirstLogonCommands run only once.
const firstLogon = runScript + " -Step register"

// WindowsAgain returns the command that starts the set-up of a Windows guest
// once more. Work that is already done is not repeated.
func WindowsAgain() []string { return step("base") }

// WindowsGames returns the command that makes drive D: on the disk for games.
// Attach the disk before you run it.
func WindowsGames() []string { return step("games") }

// WindowsDriver returns the command that installs the card's driver. Attach the
// card before you run it.
func WindowsDriver() []string { return step("driver") }

func step(name string) []string { return append(strings.Fields(runScript), "-Step", name) }

// driverPaths returns the paths of the drivers on the CD of virtio-win. The
// letter of the CD is not known, so each possible letter has a path. Windows
// adds the drivers to the installer and to the installed system (Microsoft,
// PnpCustomizationsWinPE, DriverPaths).
func driverPaths() []string {
	var paths []string
	for _, letter := range letters {
		for _, driver := range []string{"vioscsi", "NetKVM", "Balloon", "vioserial"} {
			paths = append(paths, fmt.Sprintf(`%c:\%s\w11\amd64`, letter, driver))
		}
	}
	return paths
}

// inSetup returns the commands that the installer runs. Each command looks for
// the disk script on one drive, and starts it if it is there. Only this script
// makes partitions, so a missing script leaves the disk unchanged.
func inSetup() []string {
	var commands []string
	for _, letter := range letters {
		commands = append(commands, fmt.Sprintf(`cmd.exe /c if exist %c:\%s %[1]c:\%[2]s`, letter, diskScript))
	}
	return commands
}

// inSystem returns the commands that run in the installed system before anybody
// logs on.
func inSystem() []string {
	commands := []string{`cmd.exe /c if not exist ` + windowsDir + ` mkdir ` + windowsDir}
	for _, letter := range letters {
		commands = append(commands, fmt.Sprintf(`cmd.exe /c if exist %c:\%s copy /y %[1]c:\%[2]s %[3]s\`, letter, baseScript, windowsDir))
	}
	for _, v := range registry {
		commands = append(commands, v.command())
	}
	return append(commands, "powercfg.exe /hibernate off")
}

// A registryValue is a DWORD that the set-up writes into the registry.
type registryValue struct {
	key, name string
	data      int
}

func (v registryValue) command() string {
	return fmt.Sprintf(`reg.exe add "%s" /v %s /t REG_DWORD /d %d /f`, v.key, v.name, v.data)
}

// The variable "registry" holds the values that the set-up writes into the
// registry of the machine. The comment of each value has its reason and source.
var registry = []registryValue{
	// Without this value, Windows hibernates in part when it is shut down (fast
	// startup). The file system and the card are then not in the state that
	// they have after a full shutdown (unattend-generator
	// modifier/Optimizations.cs).
	{`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power`, "HiberbootEnabled", 0},
	// Without this value, 24H2 encrypts the disk of a new system, with a key
	// that nobody has (Microsoft, "BitLocker drive encryption in Windows 11 for
	// OEMs").
	{`HKLM\SYSTEM\CurrentControlSet\Control\BitLocker`, "PreventDeviceEncryption", 1},
	// With this value, Remote Desktop asks for the password before it shows a
	// picture (Microsoft,
	// Microsoft-Windows-TerminalServices-RDP-WinStationExtensions).
	{`HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp`, "UserAuthentication", 1},
	// With these values, updates do not restart Windows while somebody is
	// logged on (Microsoft, "Manage additional Windows Update settings").
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`, "NoAutoRebootWithLoggedOnUsers", 1},
	{`HKLM\SOFTWARE\Policies\Microsoft\Windows\WindowsUpdate\AU`, "AUOptions", 4},
}

//go:embed scripts/firstboot-disk.cmd
var diskScriptText string

//go:embed scripts/firstboot.ps1
var baseScriptText string

// Returns the set-up's script with the guest's values.
func (g Windows11) script() (string, error) {
	t, err := template.New(baseScript).Funcs(template.FuncMap{"ps": quotePowerShell}).Parse(baseScriptText)
	if err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, struct {
		Windows11
		Dir string
		LUN int
	}{g, windowsDir, g.Games.lun()}); err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	return b.String(), nil
}

// lun returns the logical unit number by which the guest knows the disk, or -1
// if there is no disk. PVE gives the slot scsiN the logical unit N (qemu-server
// PVE/QemuServer/DriveDevice.pm).
func (d *GamesDisk) lun() int {
	if d == nil {
		return -1
	}
	n, err := strconv.Atoi(strings.TrimPrefix(d.Slot, "scsi"))
	if err != nil {
		return -1
	}
	return n
}

// quotePowerShell quotes a word for PowerShell. Typographic quotes must be
// escaped too, because PowerShell treats them as quotes (about_Quoting_Rules).
func quotePowerShell(text string) string {
	for _, quote := range "'\u2018\u2019\u201A\u201B" {
		text = strings.ReplaceAll(text, string(quote), string(quote)+string(quote))
	}
	return "'" + text + "'"
}
