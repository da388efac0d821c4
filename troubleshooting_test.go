package proxstation_test

import (
	"go/ast"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// notFindings holds texts of the code that look like the ID of a finding but
// are kernel arguments.
var notFindings = []string{"iommu.passthrough", "iommu.strict"}

// The troubleshooting page has a section with cause, evidence and fix for every
// finding of iommu, gpu, inventory and cluster, and for every finding about
// switches in a cluster. It has no sections for other IDs.
func TestTroubleshootingHasEveryFinding(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(page), "\n### ")[1:] {
		id, text, _ := strings.Cut(section, "\n")
		if _, twice := sections[id]; twice {
			t.Errorf("the page has %s twice", id)
		}
		sections[id], _, _ = strings.Cut(text, "\n## ")
	}
	known := map[string]bool{}
	id := regexp.MustCompile(`^(iommu|gpu|inventory|cluster|switch)\.[a-z][a-z0-9-]*[a-z0-9]$`)
	eachFile(t, func(path string, _ *token.FileSet, file *ast.File, _ int) {
		if strings.HasSuffix(path, "_test.go") || !strings.HasPrefix(path, "iommu/") && !strings.HasPrefix(path, "gpu/") && !strings.HasPrefix(path, "workstation/inventory/") && !strings.HasPrefix(path, "workstation/cluster/") && path != "workstation/switch_cluster.go" && path != "workstation/switch_ha.go" {
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				if text, _ := strconv.Unquote(literal.Value); id.MatchString(text) && !slices.Contains(notFindings, text) {
					known[text] = true
				}
			}
			return true
		})
	})
	if len(known) < 100 {
		t.Fatalf("found only %d IDs in the code", len(known))
	}
	for finding := range known {
		text, there := sections[finding]
		for _, part := range []string{"**Cause**", "**Evidence**", "**Fix**"} {
			if !there || !strings.Contains(text, part) {
				t.Errorf("the page has no %s of %s", part, finding)
			}
		}
	}
	for section := range sections {
		if !known[section] {
			t.Errorf("the page has %s, which no code finds", section)
		}
	}
}
