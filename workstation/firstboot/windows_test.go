package firstboot

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/proxstation/proxstation"
)

func windowsGuest() Windows11 {
	return Windows11{ComputerName: "GAMES", User: "me", Password: proxstation.NewSecret("correct horse")}
}

func fullWindows() Windows11 {
	return Windows11{
		ComputerName: "GAMES", User: "Jörg & Söhne '24", Password: proxstation.NewSecret(`<it's> "100%" & ]]> $env:x ^ \`),
		Language: "de-DE", Keyboard: "0407:00000407", TimeZone: "W. Europe Standard Time",
		ProductKey: proxstation.NewSecret("ABCDE-12345-FGHIJ-67890-KLMNO"),
		Games:      &GamesDisk{Slot: "scsi1"},
		Driver:     &Download{URL: "https://us.download.nvidia.com/Windows/581.15/581.15-desktop-win10-win11-64bit-international-dch-whql.exe", SHA256: strings.Repeat("0f", 32)},
	}
}

func TestWindowsSeedIsGolden(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]Windows11{"plain": windowsGuest(), "full": fullWindows()} {
		seed := must(g.Seed())
		for _, file := range seed.Files() {
			golden(t, "windows-"+name+"-"+file, strings.ReplaceAll(content(t, seed, file), "\r\n", "\n"))
		}
	}
}

// An element is an XML element in the form in which a parser reads it.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Children []element  `xml:",any"`
	Text     string     `xml:",chardata"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Returns the texts of all elements that the path leads to. A path is a list of
// names.
func (e element) all(path ...string) []string {
	if len(path) == 0 {
		return []string{strings.TrimSpace(e.Text)}
	}
	var texts []string
	for _, child := range e.Children {
		if child.XMLName.Local == path[0] || strings.HasSuffix(child.attr("name"), path[0]) || child.attr("pass") == path[0] {
			texts = append(texts, child.all(path[1:]...)...)
		}
	}
	return texts
}

func answersOf(t testing.TB, g Windows11) element {
	t.Helper()
	seed, err := g.Seed()
	if err != nil {
		t.Fatal(err)
	}
	data, err := seed.ReadFile(answerFile)
	if err != nil {
		t.Fatal(err)
	}
	var root element
	if err := xml.Unmarshal(data, &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// These are the components of Windows 11 that an answer file may set. Each has
// the passes in which it is valid, and its settings. The source is Microsoft's
// reference "Unattended Windows Setup", which has a page for each component:
// learn.microsoft.com/windows-hardware/customize/desktop/unattend/
var components = map[string]struct {
	passes   []string
	settings []string
}{
	"Microsoft-Windows-International-Core-WinPE":             {[]string{"windowsPE"}, []string{"InputLocale", "SetupUILanguage", "SystemLocale", "UILanguage", "UserLocale"}},
	"Microsoft-Windows-PnpCustomizationsWinPE":               {[]string{"windowsPE"}, []string{"DriverPaths"}},
	"Microsoft-Windows-Setup":                                {[]string{"windowsPE"}, []string{"DynamicUpdate", "ImageInstall", "RunSynchronous", "UserData"}},
	"Microsoft-Windows-Shell-Setup":                          {[]string{"specialize", "oobeSystem"}, []string{"AutoLogon", "ComputerName", "FirstLogonCommands", "OOBE", "ProductKey", "TimeZone", "UserAccounts"}},
	"Microsoft-Windows-Deployment":                           {[]string{"specialize"}, []string{"RunSynchronous"}},
	"Microsoft-Windows-TerminalServices-LocalSessionManager": {[]string{"specialize"}, []string{"fDenyTSConnections"}},
	"Networking-MPSSVC-Svc":                                  {[]string{"specialize"}, []string{"FirewallGroups"}},
	"Microsoft-Windows-International-Core":                   {[]string{"specialize", "oobeSystem"}, []string{"InputLocale", "SystemLocale", "UILanguage", "UserLocale"}},
	"Microsoft-Windows-SecureStartup-FilterDriver":           {[]string{"oobeSystem"}, []string{"PreventDeviceEncryption"}},
}

// inPass holds settings of Shell-Setup. Each setting is valid in only one pass,
// which is its value here.
var inPass = map[string]string{
	"ComputerName": "specialize", "ProductKey": "specialize", "TimeZone": "specialize",
	"FirstLogonCommands": "oobeSystem", "OOBE": "oobeSystem", "UserAccounts": "oobeSystem", "AutoLogon": "oobeSystem",
}

// This is the greatest length of an element's text, by the element's name. The
// source is the same reference, at RunSynchronousCommand (Path),
// SynchronousCommand (CommandLine) and DriverPaths (Path).
var limits = map[string]int{"Path": 259, "CommandLine": 1024}

func TestAnswersAreWhatTheComponentsTake(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]Windows11{"plain": windowsGuest(), "full": fullWindows()} {
		root := answersOf(t, g)
		if root.XMLName.Space != "urn:schemas-microsoft-com:unattend" {
			t.Errorf("%s: the namespace is %s", name, root.XMLName.Space)
		}
		for _, settings := range root.Children {
			pass := settings.attr("pass")
			for _, component := range settings.Children {
				known, ok := components[component.attr("name")]
				if !ok || !slices.Contains(known.passes, pass) {
					t.Errorf("%s: %s is no component of pass %s", name, component.attr("name"), pass)
				}
				for attribute, want := range map[string]string{"processorArchitecture": "amd64", "publicKeyToken": "31bf3856ad364e35", "language": "neutral", "versionScope": "nonSxS"} {
					if component.attr(attribute) != want {
						t.Errorf("%s: %s has %s=%q", name, component.attr("name"), attribute, component.attr(attribute))
					}
				}
				for _, setting := range component.Children {
					setting := setting.XMLName.Local
					if !slices.Contains(known.settings, setting) || inPass[setting] != "" && inPass[setting] != pass {
						t.Errorf("%s: %s in %s has no setting %s", name, component.attr("name"), pass, setting)
					}
				}
				checkElements(t, component)
			}
		}
	}
}

// checkElements checks that Windows' installer accepts every element: no
// element is empty or too long, and list items are in order.
func checkElements(t *testing.T, e element) {
	t.Helper()
	order := 0
	for _, child := range e.Children {
		text := strings.TrimSpace(child.Text)
		if len(child.Children) == 0 && text == "" {
			t.Errorf("%s is empty, which the installer does not take", child.XMLName.Local)
		}
		if most := limits[child.XMLName.Local]; most > 0 && len(text) > most {
			t.Errorf("%s has %d characters, more than %d: %s", child.XMLName.Local, len(text), most, text)
		}
		if strings.Contains(text, "%") {
			t.Errorf("%s has a %%, which the installer may take for a variable: %s", child.XMLName.Local, text)
		}
		if orders := child.all("Order"); len(orders) > 0 {
			order++
			if len(orders) != 1 || orders[0] != itoa(order) {
				t.Errorf("%s has the order %s, want %d", child.XMLName.Local, orders, order)
			}
		}
		checkElements(t, child)
	}
}

func itoa(n int) string { return strings.TrimLeft(string(rune('0'+n/10))+string(rune('0'+n%10)), "0") }

func TestAnswersSay(t *testing.T) {
	t.Parallel()
	g := fullWindows()
	root := answersOf(t, g)
	setup := []string{"windowsPE", "Microsoft-Windows-Setup"}
	oobe := []string{"oobeSystem", "Microsoft-Windows-Shell-Setup"}
	for _, test := range []struct {
		path []string
		want string
	}{
		{append(slices.Clone(setup), "ImageInstall", "OSImage", "InstallTo", "DiskID"), "0"},
		{append(slices.Clone(setup), "ImageInstall", "OSImage", "InstallTo", "PartitionID"), "3"}, // the third partition, after EFI and MSR
		{append(slices.Clone(setup), "UserData", "ProductKey", "Key"), g.ProductKey.Reveal()},
		{[]string{"specialize", "Shell-Setup", "ProductKey"}, g.ProductKey.Reveal()},
		{[]string{"specialize", "Shell-Setup", "ComputerName"}, "GAMES"},
		{[]string{"specialize", "Shell-Setup", "TimeZone"}, "W. Europe Standard Time"},
		{[]string{"specialize", "LocalSessionManager", "fDenyTSConnections"}, "false"},
		{append(slices.Clone(oobe), "AutoLogon", "Username"), g.User},
		{append(slices.Clone(oobe), "AutoLogon", "LogonCount"), "1"},
		{append(slices.Clone(oobe), "UserAccounts", "LocalAccounts", "LocalAccount", "Name"), g.User},
		{append(slices.Clone(oobe), "UserAccounts", "LocalAccounts", "LocalAccount", "Group"), "Administrators"},
		{append(slices.Clone(oobe), "OOBE", "HideWirelessSetupInOOBE"), "true"},
	} {
		if got := root.all(test.path...); len(got) != 1 || got[0] != test.want {
			t.Errorf("%s is %q, want %q", test.path, got, test.want)
		}
	}
	for _, path := range [][]string{append(slices.Clone(oobe), "AutoLogon", "Password", "Value"), append(slices.Clone(oobe), "UserAccounts", "LocalAccounts", "LocalAccount", "Password", "Value")} {
		if got := plain(t, root.all(path...)[0]); got != g.Password.Reveal()+"Password" {
			t.Errorf("%s is %q", path, got)
		}
	}
	if plainKey := answersOf(t, windowsGuest()); len(plainKey.all("specialize", "Shell-Setup", "ProductKey")) != 0 {
		t.Error("a generic key activates nothing, and is not to be set in specialize")
	}
}

// Decodes a password that was written in the form of PlainText=false.
func plain(t *testing.T, hidden string) string {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(hidden)
	if err != nil || len(data)%2 != 0 {
		t.Fatalf("%q: %v", hidden, err)
	}
	var units []uint16
	for i := 0; i < len(data); i += 2 {
		units = append(units, uint16(data[i])|uint16(data[i+1])<<8)
	}
	return string(utf16.Decode(units))
}

// No command of the script erases a disk: the commands that make partitions
// refuse a disk that is not empty.
func TestNoDiskIsWiped(t *testing.T) {
	t.Parallel()
	root := answersOf(t, fullWindows())
	if got := root.all("windowsPE", "Microsoft-Windows-Setup", "DiskConfiguration"); len(got) != 0 {
		t.Error("the installer itself would wipe a disk")
	}
	seed := must(fullWindows().Seed())
	text := content(t, seed, diskScript)
	if regexp.MustCompile(`(?mi)^\s*(echo )?clean`).MatchString(text) || !strings.Contains(text, "echo convert gpt") {
		t.Error("the script must convert an empty disk, and clean none")
	}
	if !strings.Contains(text, "\r\n") || strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") {
		t.Error("cmd.exe wants lines that end in CR LF")
	}
	for _, letter := range letters {
		if want := `cmd.exe /c if exist ` + string(letter) + `:\firstboot-disk.cmd ` + string(letter) + `:\firstboot-disk.cmd`; !slices.Contains(root.all("windowsPE", "Microsoft-Windows-Setup", "RunSynchronous", "RunSynchronousCommand", "Path"), want) {
			t.Errorf("not looked for on %c:", letter)
		}
	}
}

func TestRegistryLeft(t *testing.T) {
	t.Parallel()
	add := regexp.MustCompile(`^reg\.exe add "(HKLM\\[^"]+)" /v (\w+) /t REG_DWORD /d (\d+) /f$`)
	left := map[string]string{}
	for _, command := range answersOf(t, windowsGuest()).all("specialize", "Microsoft-Windows-Deployment", "RunSynchronous", "RunSynchronousCommand", "Path") {
		if m := add.FindStringSubmatch(command); m != nil {
			left[m[1]+`\`+m[2]] = m[3]
		} else if strings.HasPrefix(command, "reg") {
			t.Errorf("cannot be read: %s", command)
		}
	}
	for value, want := range map[string]string{
		`HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Power\HiberbootEnabled`:                 "0",
		`HKLM\SYSTEM\CurrentControlSet\Control\BitLocker\PreventDeviceEncryption`:                      "1",
		`HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\WinStations\RDP-Tcp\UserAuthentication`: "1",
	} {
		if left[value] != want {
			t.Errorf("%s is %q, want %s", value, left[value], want)
		}
	}
}

func TestWindowsRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*Windows11)
		field  string
	}{
		"no name":                   {func(g *Windows11) { g.ComputerName = "" }, "ComputerName"},
		"a long name":               {func(g *Windows11) { g.ComputerName = "SIXTEEN-LETTERS-" }, "ComputerName"},
		"digits":                    {func(g *Windows11) { g.ComputerName = "12345" }, "ComputerName"},
		"a name for cmd":            {func(g *Windows11) { g.ComputerName = "A&B" }, "ComputerName"},
		"no user":                   {func(g *Windows11) { g.User = "" }, "User"},
		"a group":                   {func(g *Windows11) { g.User = "Administrators" }, "User"},
		"the computer":              {func(g *Windows11) { g.User = "games" }, "User"},
		"a long user":               {func(g *Windows11) { g.User = strings.Repeat("u", 21) }, "User"},
		"a user of lines":           {func(g *Windows11) { g.User = "a\nb" }, "User"},
		"a user with quotes":        {func(g *Windows11) { g.User = `a"b` }, "User"},
		"a user with a dot":         {func(g *Windows11) { g.User = "me." }, "User"},
		"no password":               {func(g *Windows11) { g.Password = proxstation.Secret{} }, "Password"},
		"a password of lines":       {func(g *Windows11) { g.Password = proxstation.NewSecret("a\r\nb") }, "Password"},
		"a long password":           {func(g *Windows11) { g.Password = proxstation.NewSecret(strings.Repeat("x", 128)) }, "Password"},
		"a password that is binary": {func(g *Windows11) { g.Password = proxstation.NewSecret("\xff\xfe") }, "Password"},
		"a language of Linux":       {func(g *Windows11) { g.Language = "de_DE.UTF-8" }, "Language"},
		"no language of a CD":       {func(g *Windows11) { g.Language = "de-AT" }, "Language"},
		"a country's old name":      {func(g *Windows11) { g.Language = "en-UK" }, "Language"},
		"a guest in German":         {func(g *Windows11) { g.User, g.Language = "Gast", "de-DE" }, "User"},
		"a device":                  {func(g *Windows11) { g.User = "COM9" }, "User"},
		"a keyboard of Linux":       {func(g *Windows11) { g.Keyboard = "de" }, "Keyboard"},
		"a time zone of Linux":      {func(g *Windows11) { g.TimeZone = "Europe/Berlin" }, "TimeZone"},
		"an edition without a key":  {func(g *Windows11) { g.Edition = "Enterprise" }, "Edition"},
		"a key for a shell":         {func(g *Windows11) { g.ProductKey = proxstation.NewSecret("AAAAA-BBBBB-CCCCC-DDDDD-$(id)") }, "ProductKey"},
		"the system's disk":         {func(g *Windows11) { g.Games = &GamesDisk{Slot: "scsi0"} }, "Games.Slot"},
		"a disk not seen":           {func(g *Windows11) { g.Games = &GamesDisk{Slot: "sata1"} }, "Games.Slot"},
		"the system's letter":       {func(g *Windows11) { g.Games = &GamesDisk{Slot: "scsi1", Letter: "C"} }, "Games.Letter"},
		"a label for PowerShell":    {func(g *Windows11) { g.Games = &GamesDisk{Slot: "scsi1", Label: "$(x)"} }, "Games.Label"},
		"an URL for PowerShell":     {func(g *Windows11) { g.Driver = &Download{URL: "https://x/'; rm.exe", SHA256: strings.Repeat("0", 64)} }, "Driver.URL"},
	}
	for name, test := range tests {
		g := windowsGuest()
		test.change(&g)
		seed, err := g.Seed()
		var field *FieldError
		if !errors.Is(err, ErrField) || !errors.As(err, &field) || field.Field != test.field || !seed.IsZero() {
			t.Errorf("%s: %v, want an error of %s and no seed", name, err, test.field)
		}
		if secret := g.ProductKey.Reveal(); secret != "" && err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

// xmllint reads the answer file as XML and finds the user's name.
func TestXMLLintReadsTheAnswers(t *testing.T) {
	t.Parallel()
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		if os.Getenv("CI") != "" && os.Getenv("QUICK") == "" {
			t.Fatal("xmllint must be installed")
		}
		t.Skip("xmllint is not installed")
	}
	path := filepath.Join(t.TempDir(), "a.xml")
	if err := os.WriteFile(path, []byte(content(t, must(fullWindows().Seed()), answerFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), lint, "--nonet", "--xpath", "string(//*[local-name()='LocalAccount']/*[local-name()='Name'])", path).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != fullWindows().User {
		t.Errorf("%v: %s", err, out)
	}
}

// FuzzWindows checks that the answer file is XML whatever the values are, and
// that an XML parser reads every value unchanged.
func FuzzWindows(f *testing.F) {
	f.Add("GAMES", "me", "correct horse", "de-DE", "0407:00000407", "UTC")
	f.Add("A", `Jörg & Söhne '24`, `]]><x a="&amp;">%TEMP%^$(id)`, "en-US", "", "")
	f.Add("PC-1", "x\x00", "\uFFFE", "zh-Hant-TW", "x", "UTC-11")
	f.Fuzz(func(t *testing.T, computer, user, password, language, keyboard, zone string) {
		g := Windows11{ComputerName: computer, User: user, Password: proxstation.NewSecret(password), Language: language, Keyboard: keyboard, TimeZone: zone}
		if err := g.withDefaults().check(); err != nil {
			if !errors.Is(err, ErrField) {
				t.Fatal(err)
			}
			return
		}
		answers, err := g.withDefaults().answers()
		if err != nil {
			t.Fatal(err)
		}
		var root element
		if err := xml.Unmarshal([]byte(answers), &root); err != nil {
			t.Fatal(err)
		}
		account := []string{"oobeSystem", "Microsoft-Windows-Shell-Setup", "UserAccounts", "LocalAccounts", "LocalAccount"}
		if got := root.all(append(account, "Name")...); len(got) != 1 || got[0] != user {
			t.Errorf("the user %q became %q", user, got)
		}
		if got := root.all(append(account, "Password", "Value")...); len(got) != 1 || plain(t, got[0]) != password+"Password" {
			t.Errorf("the password became another one")
		}
		if got := root.all("specialize", "Shell-Setup", "ComputerName"); len(got) != 1 || got[0] != computer {
			t.Errorf("the computer %q became %q", computer, got)
		}
	})
}

// The PowerShell script cannot destroy data on a disk, and holds no secret and
// no user name.
func TestScriptOfWindowsKeepsData(t *testing.T) {
	t.Parallel()
	g := fullWindows()
	text := content(t, must(g.Seed()), baseScript)
	for _, never := range []string{"Clear-Disk", "Reset-PhysicalDisk", "Remove-Partition", "-Force -FileSystem", "diskpart", g.Password.Reveal(), g.ProductKey.Reveal(), g.User} {
		if strings.Contains(text, never) {
			t.Errorf("the script has %q", never)
		}
	}
	blank := strings.Index(text, "(Test-Blank $disk.Number)) {")
	for _, destroys := range []string{"Initialize-Disk", "Format-Volume", "New-Partition"} {
		if at := strings.Index(text, destroys); strings.Count(text, destroys) != 1 || blank < 0 || at < blank {
			t.Errorf("%s is not behind the look at the disk", destroys)
		}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r > 126 }) {
		t.Error("PowerShell 5.1 reads a script without a byte order mark in the system's code page: want ASCII")
	}
}
