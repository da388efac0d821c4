package gpu_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/hosttree"
	"github.com/proxstation/proxstation/iommu"
)

// For each configuration from a public report, the findings contain the finding
// that would have helped the owner.
func TestReportedConfigurations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		host string // a case's folder, or "" for the reference host
		want []string
	}{
		"22-legacy-igd-missing":   {"", []string{"legacy-igd=1 in place of x-vga=1", "vga: none"}},
		"22b-legacy-igd-on-q35":   {"", []string{"legacy-igd needs the machine type pc", "CFL_CML_GOPv9.1_igd.rom"}},
		"23-rombar0-with-romfile": {"20-amd-igpu-reset-bug", []string{"Remove rombar=0"}},
		"27-device-named-twice":   {"24-two-identical-rx580", []string{"assigned more than once", "Remove 0000:09:00.1"}},
		"10-vfs-gone-pf-on-vfio":  {"10-vfs-gone-pf-on-vfio", []string{"one virtual function alone", "0000:00:02.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("..", "..", "shared", "cases", "hosts")
			text, err := os.ReadFile(filepath.Join(dir, name, "qm.conf"))
			if err != nil && os.Getenv("CI") == "" {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			node := gpu.Node{Name: "pve", Functions: hostFunctions(t, dir, test.host)}
			if name == "10-vfs-gone-pf-on-vfio" { // before the VM started, the host had this virtual function
				virtual := node.Functions[1]
				virtual.Address = address("0000:00:02.1")
				node.Functions = append(slices.Clone(node.Functions), virtual)
			}
			said := told(t, node, string(text))
			for _, want := range test.want {
				if !strings.Contains(said, want) {
					t.Errorf("nothing says %q:\n%s", want, said)
				}
			}
		})
	}
}

// hostFunctions reads the functions of a reported host.
func hostFunctions(t *testing.T, dir, name string) []iommu.Function {
	t.Helper()
	if name == "" {
		return captured(t, "reference").Functions
	}
	text, err := os.ReadFile(filepath.Join(dir, name, "host.txt"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := hosttree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := iommu.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	return facts.Functions
}

// The function "told" judges a configuration in PVE's format and returns the
// findings as text.
func told(t *testing.T, node gpu.Node, conf string) string {
	t.Helper()
	keys := map[string]string{}
	claim := gpu.Claim{VMID: 100}
	var said strings.Builder
	for line := range strings.Lines(conf) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		keys[key] = value
		if strings.HasPrefix(key, "hostpci") {
			h := values(value)[0]
			claim.Values = append(claim.Values, h)
			for _, f := range node.Check(key, h, gpu.AnyGuest) {
				said.WriteString(f.String() + "\n")
			}
		}
	}
	for _, f := range node.CheckClaims([]gpu.Claim{claim}) {
		said.WriteString(f.String() + "\n")
	}
	if err := gpu.CheckRules(claim.Values, keys["machine"], keys["vga"]); err != nil {
		said.WriteString(err.Error())
	}
	return said.String()
}
