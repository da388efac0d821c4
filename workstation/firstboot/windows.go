package firstboot

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"
	"unicode/utf16"

	"github.com/proxstation/proxstation"
)

// Windows11 holds the answers to all questions of Windows' installer. The
// installer uses the VM's only disk. If the VM has another disk, or if the disk
// is not empty, the VM is stopped and nothing is changed.
//
// During the installation the VM must have only the system's disk, in scsi0.
// Drives of IDE or SATA must hold Windows' CD, the CD of virtio-win (0.1.258 or
// newer for 24H2) and this seed. Package install ensures all this.
//
// The tests of this package have never installed a Windows. See
// docs/firstboot.md.
type Windows11 struct {
	// ComputerName is the name in the network: at most 15 letters, digits and
	// hyphens, but not only digits.
	ComputerName string
	// User is the local account, which is an administrator. Password is its
	// password. The seed holds the password in a form from which it can be
	// read.
	User     string
	Password proxstation.Secret
	// Language is the language of the CD, such as "de-DE"; the default is
	// "en-US". The installer stops if the CD has another language.
	Language string
	// Keyboard is the layout, such as "0407:00000407"; the default is the
	// layout of Language.
	Keyboard string
	// TimeZone is a Windows time zone such as "W. Europe Standard Time"; the
	// default is "UTC".
	TimeZone string
	// Edition chooses the edition of Windows, but does not activate Windows.
	// The default is Pro.
	Edition Edition
	// ProductKey is a key of your own. It activates Windows. It also chooses
	// the edition, and the field Edition is then not used.
	ProductKey proxstation.Secret
	// Games is the disk for drive D:. If it is nil, there is no such disk.
	Games *GamesDisk
	// Driver is NVIDIA's installer for Windows, an .exe file with the card's
	// driver. If it is nil, Windows Update chooses the driver.
	Driver *Download
}

// A GamesDisk is the disk for games. It is attached after the installation of
// Windows, and formatted only if nothing is on it.
type GamesDisk struct {
	// Slot is the VM's slot for the disk, such as "scsi1". The guest finds the
	// disk by its slot.
	Slot string
	// Letter is the letter of the drive; the default is "D".
	Letter string
	// Label is the name of the volume; the default is "Games".
	Label string
}

// An Edition is an edition of Windows 11. The installer chooses it by a public
// key that activates nothing (Microsoft, "Windows generic product keys").
type Edition string

// The editions. Microsoft publishes no product key that installs Enterprise
// from retail CDs, so Enterprise needs a ProductKey.
const (
	Home            Edition = "Home"
	Pro             Edition = "Pro"
	ProWorkstations Edition = "Pro for Workstations"
	Education       Edition = "Education"
)

// genericKeys holds the public keys from cschneegans/unattend-generator
// resource/WindowsEdition.json.
var genericKeys = map[Edition]string{
	Home:            "YTMG3-N6DKC-DKB77-7M9GH-8HVX7",
	Pro:             "VK7JG-NPHTM-C97JM-9MPGT-3V66T",
	ProWorkstations: "DXG7C-N36C4-C4HTG-X4T3X-2YV77",
	Education:       "YNMGQ-8RYV3-4PGQ3-C8XTP-7CFBY",
}

func (g Windows11) withDefaults() Windows11 {
	g.Language = cmp.Or(g.Language, "en-US")
	g.Keyboard = cmp.Or(g.Keyboard, g.Language)
	g.TimeZone = cmp.Or(g.TimeZone, "UTC")
	g.Edition = cmp.Or(g.Edition, Pro)
	if g.Games != nil {
		games := *g.Games
		games.Letter, games.Label = cmp.Or(games.Letter, "D"), cmp.Or(games.Label, "Games")
		g.Games = &games
	}
	return g
}

// answerFile is the name of the answer file. Windows' installer looks for this
// name in the root of every CD (Microsoft, "Windows Setup automation
// overview").
const answerFile = "Autounattend.xml"

// Seed returns the CD with the answer file and its scripts. The error joins a
// [FieldError] for each field that cannot be used.
func (g Windows11) Seed() (Seed, error) {
	g = g.withDefaults()
	if err := g.check(); err != nil {
		return Seed{}, err
	}
	answers, err := g.answers()
	if err != nil {
		return Seed{}, err
	}
	script, err := g.script()
	if err != nil {
		return Seed{}, err
	}
	return newSeed(strings.ToLower(g.ComputerName), "FIRSTBOOT", map[string]string{
		answerFile: answers,
		diskScript: crlf(diskScriptText),
		baseScript: crlf(script),
	}), nil
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

//go:embed scripts/autounattend.xml
var answersTemplate string

// The method answers returns the answer file. The XML has no line breaks
// between its parts, because Windows would take a line break in a value as part
// of the value (cschneegans/unattend-generator issue 6).
func (g Windows11) answers() (string, error) {
	t, err := template.New("autounattend.xml").Funcs(template.FuncMap{"x": escapeXML, "add1": func(i int) int { return i + 1 }}).Parse(answersTemplate)
	if err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	var b bytes.Buffer
	key := genericKeys[g.Edition]
	if !g.ProductKey.IsZero() {
		key = g.ProductKey.Reveal()
	}
	err = t.Execute(&b, struct {
		Windows11
		Key, OwnKey, Hidden     string
		DriverPaths             []string
		InSetup, InSystem       []string
		FirstLogon, FirewallRDP string
	}{g, key, g.ProductKey.Reveal(), hiddenPassword(g.Password), driverPaths(), inSetup(), inSystem(), firstLogon, rdpRules})
	if err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	return b.String(), nil
}

// hiddenPassword returns a password as the value of an element with
// PlainText=false. This is the password followed by the name of its element, as
// UTF-16LE in base64. The form protects nothing, but it needs no escaping
// (Microsoft, Windows System Image Manager, "Hide sensitive data").
func hiddenPassword(password proxstation.Secret) string {
	var b []byte
	for _, unit := range utf16.Encode([]rune(password.Reveal() + "Password")) {
		b = binary.LittleEndian.AppendUint16(b, unit)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func escapeXML(text string) (string, error) {
	var b bytes.Buffer
	err := xml.EscapeText(&b, []byte(text))
	return b.String(), err
}
