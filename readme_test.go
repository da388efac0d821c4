package proxstation_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The program in the README compiles as it is printed, if it is put inside a
// function.
func TestProgramOfTheReadmeCompiles(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readme(t), "```go\n")
	body, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("there is no Go program in the README")
	}
	program := filepath.Join(t.TempDir(), "main.go")
	source := `package main

import (
	"context"
	"fmt"

	"` + module + `/iommu"
	"` + module + `/storage"
	"` + module + `/workstation"
	"` + module + `/workstation/profile"
)

func main() { _ = program("", "") }

func program(token, fingerprint string) error {
` + body + "}\n"
	if err := os.WriteFile(program, []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "go", "vet", program).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// All links in the repository's documentation pages lead to existing places.
func TestPagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([A-Za-z][^):]*)\)|go (?:run|doc) \./(\S+)`)
	for _, page := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(text), -1) {
			place := strings.Trim(match[1]+match[2], "`")
			if _, err := os.Stat(place); err != nil {
				t.Errorf("%s leads to %s: %v", page, place, err)
			}
		}
	}
}
