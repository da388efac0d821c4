package firstboot

import (
	_ "embed"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// These patterns match the values that Windows' installer accepts. Any other
// value would stop the set-up, often with "could not parse or process the
// answer file", and nobody would notice.
var (
	computerName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,13}[A-Za-z0-9])?$`) // Microsoft, Shell-Setup, ComputerName: 15 bytes
	cultureName  = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?-[A-Z]{2}$`)        // Microsoft, "Default input profiles (input locales) in Windows"
	inputLocale  = regexp.MustCompile(`^[0-9A-Fa-f]{4}:([0-9A-Fa-f]{8}|\{[0-9A-Fa-f-]{36}\}\{[0-9A-Fa-f-]{36}\})$`)
	productKey   = regexp.MustCompile(`^[A-Z0-9]{5}(-[A-Z0-9]{5}){4}$`)
	driveLetter  = regexp.MustCompile(`^[D-W]$`)
	volumeName   = regexp.MustCompile(`^[A-Za-z0-9 _-]{1,32}$`)
	digitsOnly   = regexp.MustCompile(`^[0-9]+$`)
)

// cdLanguages holds the languages in which Microsoft publishes CDs of Windows
// 11. The installer stops if its CD lacks the language. The source is the table
// of language packs in Microsoft, "Language packs for Windows". The other
// tables there list languages that can only be installed on top of one of
// these.
var cdLanguages = strings.Fields(`ar-SA bg-BG cs-CZ da-DK de-DE el-GR en-GB en-US es-ES es-MX et-EE fi-FI fr-CA fr-FR
	he-IL hr-HR hu-HU it-IT ja-JP ko-KR lt-LT lv-LV nb-NO nl-NL pl-PL pt-BR pt-PT ro-RO ru-RU sk-SK sl-SI sr-Latn-RS
	sv-SE th-TH tr-TR uk-UA zh-CN zh-TW`)

// reservedUsers holds the names that Windows already uses for groups, accounts
// or devices (Microsoft, "Naming conventions in Active Directory"). It also
// holds their translations in the CD's languages, because Windows translates
// the names of its own accounts and groups.
var reservedUsers = []string{"administrator", "administrators", "guest", "guests", "users", "defaultaccount", "wdagutilityaccount",
	"system", "network", "localsystem", "localservice", "networkservice", "none", "con", "prn", "aux", "nul", "com1", "com2", "com3", "com4", "com5", "com6", "com7", "com8", "com9",
	"lpt1", "lpt2", "lpt3", "lpt4", "lpt5", "lpt6", "lpt7", "lpt8", "lpt9", "everyone", "interactive", "service", "batch", "dialup", "owner", "creator owner",
	"administratoren", "gast", "gäste", "benutzer", "administrateur", "administrateurs", "invité", "invités", "utilisateurs",
	"administrador", "administradores", "invitado", "invitados", "usuarios", "convidado", "convidados", "usuários", "gasten", "gebruikers",
	"amministratore", "amministratori", "ospite", "ospiti", "utenti", "administratör", "gäst", "администратор", "администраторы", "гость", "гости", "пользователи"}

// The greatest lengths that Windows accepts, for the name of an account and for
// a password (Microsoft, "User-Name attribute", "Password policy").
const (
	maxWindowsUser     = 20
	maxWindowsPassword = 127
)

//go:embed windows_zones.txt
var windowsZones string

func knownZone(name string) bool {
	return name != "" && !strings.HasPrefix(name, "#") && slices.Contains(strings.Split(windowsZones, "\n"), name)
}

func (g Windows11) check() error {
	var f fields
	f.want(computerName.MatchString(g.ComputerName), "ComputerName", "%q: want 1 to 15 of letters, digits and -, no - at the ends", g.ComputerName)
	f.want(!digitsOnly.MatchString(g.ComputerName), "ComputerName", "%q has digits only", g.ComputerName)
	g.checkUser(&f)
	f.want(slices.Contains(cdLanguages, g.Language), "Language", "%q is not a language of Windows' CDs: want one of %s. The layout of another country goes into Keyboard", g.Language, strings.Join(cdLanguages, ", "))
	f.want(cultureName.MatchString(g.Keyboard) || inputLocale.MatchString(g.Keyboard), "Keyboard", "%q: want a language such as de-DE, or a layout such as 0407:00000407", g.Keyboard)
	f.want(knownZone(g.TimeZone), "TimeZone", "%q is not a time zone of Windows, such as W. Europe Standard Time: tzutil /l in a Windows lists them", g.TimeZone)
	f.want(genericKeys[g.Edition] != "", "Edition", "%q has no generic key: want Home, Pro, Pro for Workstations or Education, or set ProductKey", string(g.Edition))
	f.want(g.ProductKey.IsZero() || productKey.MatchString(g.ProductKey.Reveal()), "ProductKey", "want five groups of five capital letters and digits, with - between them")
	if g.Games != nil {
		g.Games.check(&f)
	}
	if g.Driver != nil {
		g.Driver.check(&f, "Driver", ".exe")
	}
	return f.err()
}

func (g Windows11) checkUser(f *fields) {
	name := g.User
	f.want(name != "" && utf8.RuneCountInString(name) <= maxWindowsUser && prints(name), "User", "want 1 to %d characters that can be printed", maxWindowsUser)
	f.want(!strings.ContainsAny(name, `/\[]:;|=,+*?<>"%@`), "User", "%q has one of / \\ [ ] : ; | = , + * ? < > \" %% @, which no account may have", name)
	f.want(!strings.HasSuffix(name, ".") && strings.TrimSpace(name) == name, "User", "%q ends in a dot, or begins or ends in a blank", name)
	f.want(!slices.Contains(reservedUsers, strings.ToLower(name)), "User", "%q is an account, a group or a device of Windows", name)
	f.want(!strings.EqualFold(name, g.ComputerName), "User", "%q is the computer's name too, which Windows does not allow", name)
	f.want(!g.Password.IsZero(), "Password", "without a password nobody can log in with Remote Desktop")
	f.password("Password", g.Password, maxWindowsPassword)
}

func (d GamesDisk) check(f *fields) {
	slot := scsiSlot.FindStringSubmatch(d.Slot)
	n := 0
	if slot != nil {
		n, _ = strconv.Atoi(slot[1])
	}
	f.want(slot != nil && n <= 30, "Games.Slot", "%q: want scsi1 to scsi30, because a guest sees the slot of such a disk only", d.Slot)
	f.want(d.Slot != "scsi0", "Games.Slot", "scsi0 is the system's disk")
	f.want(driveLetter.MatchString(d.Letter), "Games.Letter", "%q: want a letter from D to W", d.Letter)
	f.want(volumeName.MatchString(d.Label), "Games.Label", "%q: want 1 to 32 of letters, digits, blanks, _ and -", d.Label)
}
