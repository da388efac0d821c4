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
			values[name] = "" // the script reads the value from its standard input
		}
		list = append(list, option{name, values[name]})
	}
	return list
}

// scriptInput holds the values for the templates.
type scriptInput struct {
	Setup
	Root     string
	Suffix   string
	Options  []option
	Password bool // set a password
	Secrets  bool // set a password or a key
	Ports    []ServerPort
}

// Active reports whether the service should run. A setup that only reports
// starts nothing.
func (in scriptInput) Active() bool { return in.Suffix != "" || in.Config != nil || in.NewID }

// SHA256Lower returns the checksum in lower case, as the guests' tools print
// it.
func (in scriptInput) SHA256Lower() string { return strings.ToLower(in.Package.SHA256) }

// Sets, Keeps and Acks return the first releases with a feature. The scripts
// compare the installed version with these releases.
func (scriptInput) Sets() Version  { return SetsOptions.Since() }
func (scriptInput) Keeps() Version { return KeepsSecrets.Since() }
func (scriptInput) Acks() Version  { return AcknowledgesPassword.Since() }

//go:embed scripts
var scripts embed.FS

// render executes the template with the given name.
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
