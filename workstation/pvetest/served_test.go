package pvetest_test

import (
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/pveschema"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

var updateServed = flag.Bool("update-served", false, "write the table of README.md, notes kept")

const (
	servedPage  = "README.md"
	servedTable = "| path | methods | how far |\n|---|---|---|\n"
)

// README.md lists all served methods and no others. It has a note where an
// answer is less complete than PVE's.
func TestServedTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(servedPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rows, found := strings.Cut(string(page), servedTable)
	if !found {
		t.Fatalf("%s has no table", servedPage)
	}
	notes := map[string]string{}
	for row := range strings.Lines(rows) {
		cells := strings.Split(row, "|")
		if len(cells) < 4 {
			t.Fatalf("not a row: %q", row)
		}
		notes[strings.Trim(cells[1], " `")] = strings.TrimSpace(cells[3])
	}
	methods := map[string][]string{}
	for _, each := range pvetest.Served() {
		method, path, _ := strings.Cut(each, " ")
		methods[path] = append(methods[path], method)
	}
	for path := range notes {
		if methods[path] == nil {
			t.Errorf("%s is in the table, and is not served", path)
		}
	}
	want := head + servedTable
	for _, path := range slices.Sorted(maps.Keys(methods)) {
		want += strings.ReplaceAll(fmt.Sprintf("| `%s` | %s | %s |\n", path, strings.Join(methods[path], ", "), notes[path]), "|  |", "| |")
	}
	switch {
	case *updateServed:
		if err := os.WriteFile(servedPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	case want != string(page):
		t.Error("the table is not what is served; run go test -run TestServedTable -update-served and read the difference")
	}
}

// The schema has the parameters of all served methods, and of no other methods.
func TestServedIsInTheSchema(t *testing.T) {
	t.Parallel()
	var described []string
	for _, e := range pveschema.Endpoints() {
		described = append(described, e.Method+" "+e.Path)
	}
	slices.Sort(described)
	if served := pvetest.Served(); !slices.Equal(served, described) {
		for _, each := range served {
			if !slices.Contains(described, each) {
				t.Errorf("%s is served without a schema", each)
			}
		}
		for _, each := range described {
			if !slices.Contains(served, each) {
				t.Errorf("%s has a schema and no handler", each)
			}
		}
	}
	if !slices.Contains(pvetest.Served(), http.MethodGet+" /version") {
		t.Error("nothing is served")
	}
}
