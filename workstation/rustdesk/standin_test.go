package rustdesk

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The test binary is also the RustDesk of the guests: a package "installs" a
// wrapper that runs it with these variables set.
func TestMain(m *testing.M) {
	if dir := os.Getenv("STANDIN_DIR"); dir != "" {
		standIn(dir, os.Getenv("STANDIN_VERSION"), os.Args[1:])
		return // like RustDesk: 0, whatever happened
	}
	os.Exit(m.Run())
}

// wrapper is the content of a package: a program that is RustDesk of a version.
func wrapper(dir, version string) string {
	return fmt.Sprintf("#!/bin/sh\nSTANDIN_DIR='%s' STANDIN_VERSION=%s exec '%s' \"$@\"\n", dir, version, os.Args[0])
}

// A standInState is what the stand-in remembers between its runs.
type standInState struct {
	Options   map[string]string
	Password  string
	Passwords int // how often it became another one
	Deaf      int // how many more times its server does not answer
}

// standIn is RustDesk's command line as core_main.rs has it. The test says by
// files in dir what stands in its way: "unprivileged", "policy", "nosession".
func standIn(dir, version string, args []string) {
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	if v, err := ParseVersion(version); err == nil && !v.Has(KeepsSecrets) {
		log, _ := os.OpenFile(filepath.Join(dir, "rustdesk.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		_, _ = fmt.Fprintf(log, "main start args: %q\n", args)
	}
	state := loadState(dir)
	defer func() { saveState(dir, state) }()
	switch {
	case len(args) == 1 && args[0] == "--version":
		fmt.Println(version)
	case len(args) == 1 && args[0] == "--get-id":
		fmt.Println("123456789")
	case len(args) > 1 && has("policy"):
		fmt.Println("Settings are disabled!")
	case len(args) > 1 && has("unprivileged"):
		fmt.Println("Installation and administrative privileges required!")
	case len(args) == 2 && args[0] == "--option":
		fmt.Println(state.Options[args[1]])
	case len(args) == 3 && args[0] == "--option" && has("deaf-options"):
	case len(args) == 3 && args[0] == "--option":
		state.Options[args[1]] = args[2]
		if args[2] == "" {
			delete(state.Options, args[1])
		}
	case len(args) == 2 && args[0] == "--password":
		switch {
		case has("nosession"):
			fmt.Println("Connection refused (os error 111)")
		case state.Deaf > 0:
			state.Deaf--
			fmt.Println("No such file or directory (os error 2)")
		default:
			if state.Password != args[1] {
				state.Password, state.Passwords = args[1], state.Passwords+1
			}
			fmt.Println("Done!")
		}
	}
}

func loadState(dir string) standInState {
	state := standInState{Options: map[string]string{}}
	if text, err := os.ReadFile(filepath.Join(dir, "state.json")); err == nil {
		_ = json.Unmarshal(text, &state)
	}
	return state
}

// saveState also writes RustDesk2.toml as the program does (serde's toml).
func saveState(dir string, state standInState) {
	text, _ := json.Marshal(state)
	_ = os.WriteFile(filepath.Join(dir, "state.json"), text, 0o600)
	var b strings.Builder
	b.WriteString("rendezvous_server = 'rs-ny.rustdesk.com:21116'\nnat_type = 1\nserial = 0\nunlock_pin = ''\ntrusted_devices = ''\n\n[options]\n")
	var names []string
	for name := range state.Options {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		value := "'" + state.Options[name] + "'"
		if strings.Contains(state.Options[name], "'") {
			value = strconv.Quote(state.Options[name])
		}
		fmt.Fprintf(&b, "%s = %s\n", name, value)
	}
	_ = os.WriteFile(filepath.Join(dir, string(OptionsFile)), []byte(b.String()), 0o600)
}
