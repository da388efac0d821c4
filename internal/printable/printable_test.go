package printable_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/proxstation/proxstation/internal/printable"
)

func TestWhatDoesNotPrintIsQuoted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                            "",
		"NVIDIA GB203 [RTX 5070 Ti]":  "NVIDIA GB203 [RTX 5070 Ti]",
		"Größe 4 TB, 日本, \u00b5, 🙂":   "Größe 4 TB, 日本, \u00b5, 🙂",
		"a\x1b[31mred":                `a\u001b[31mred`,
		"\x1b]0;title\x07":            `\u001b]0;title\u0007`,
		"one\r\ntwo\tthree":           `one\r\ntwo\tthree`,
		"\u009b31m":                   `\u009b31m`, // CSI as a single character
		"\x9b31m":                     `\x9b31m`,
		"\x7f":                        `\u007f`,
		"abc\u202egpj.exe":            `abc\u202egpj.exe`,
		"\u200b\u2066\u00a0":          `\u200b\u2066\u00a0`,
		"\U000e0041":                  `\udb40\udc41`,
		"bad \xff\xfe, true \ufffd !": `bad \xff\xfe, true ` + "\ufffd !",
		`C:\x`:                        `C:\x`,
	} {
		if got := printable.Line(text); got != want {
			t.Errorf("Line(%q) = %q, want %q", text, got, want)
		}
	}
	if got := printable.Text("one\ttwo\n\x1bthree\r\n"); got != "one\ttwo\n\\u001bthree\\r\n" {
		t.Errorf("Text: %q", got)
	}
}

func FuzzLine(f *testing.F) {
	f.Add("a\x1b[2J\r\n")
	f.Add("\xff\u202e\U000e0001")
	f.Fuzz(func(t *testing.T, text string) {
		got := printable.Line(text)
		if strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("Line(%q) = %q does not print", text, got)
		}
		if again := printable.Line(got); again != got {
			t.Errorf("Line(%q) = %q, and again %q", text, got, again)
		}
		data, err := json.Marshal(text)
		if err != nil {
			t.Skip()
		}
		var want, back string
		if err := json.Unmarshal([]byte(printable.Text(string(data))), &back); err != nil {
			t.Errorf("JSON of %q: %v", text, err)
		}
		if json.Unmarshal(data, &want); back != want {
			t.Errorf("JSON of %q comes back as %q", text, back)
		}
	})
}

func ExampleLine() {
	fmt.Println(printable.Line("disk \x1b[2J\r\nall is well"))
	// Output:
	// disk \u001b[2J\r\nall is well
}

func ExampleWriter() {
	fmt.Fprintf(printable.Writer(os.Stdout), "model\t%s\n", "PNY\x07")
	// Output:
	// model	PNY\u0007
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                       "",
		"the VM does not start":  "The VM does not start.",
		"done.":                  "Done.",
		"restart":                "Restart.",
		"remove: it":             "Remove: it.",
		"rombar=0 hides the ROM": "rombar=0 hides the ROM.",
		"x-vga=1 is set":         "x-vga=1 is set.",
		"PVE says no":            "PVE says no.",
		"macOS hangs":            "macOS hangs.",
		"vfio-pci has it":        "vfio-pci has it.",
	} {
		if got := printable.Sentence(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
