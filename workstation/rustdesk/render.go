package rustdesk

import (
	"bytes"
	"embed"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/template"
)

type option struct{ Name, Value string }

func optionList(c Config) []option {
	var list []option
	values := c.options()
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "key" {
			values[name] = "" // comes on standard input
		}
		list = append(list, option{name, values[name]})
	}
	return list
}

// scriptInput is what the templates see.
type scriptInput struct {
	Setup
	Root     string
	Suffix   string
	Options  []option
	Password bool // a password is to be set
	Secrets  bool // a password or a key is
	Ports    []ServerPort
}

// Active reports whether the service is to run; a setup that only reports
// starts nothing.
func (in scriptInput) Active() bool { return in.Suffix != "" || in.Config != nil || in.NewID }

// SHA256Lower is the checksum as the guests' tools print it.
func (in scriptInput) SHA256Lower() string { return strings.ToLower(in.Package.SHA256) }

// Sets, Keeps and Acks are the first releases with a feature, with which the
// scripts compare.
func (scriptInput) Sets() Version  { return SetsOptions.Since() }
func (scriptInput) Keeps() Version { return KeepsSecrets.Since() }
func (scriptInput) Acks() Version  { return AcknowledgesPassword.Since() }

//go:embed scripts
var scripts embed.FS

// render executes the template of a name.
func render(name string, in any) (string, error) {
	set := template.New("").Funcs(template.FuncMap{
		"sh": func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
		"ps": func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
	})
	if _, err := set.ParseFS(scripts, "scripts/*"); err != nil {
		return "", fmt.Errorf("rustdesk: script: %w", err)
	}
	var b bytes.Buffer
	if err := set.ExecuteTemplate(&b, name+".tmpl", in); err != nil {
		return "", fmt.Errorf("rustdesk: script: %w", err)
	}
	return b.String(), nil
}
