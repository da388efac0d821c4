package gpu_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/proxstation/proxstation/gpu"
)

func TestEveryROMHasItsChecksum(t *testing.T) {
	t.Parallel()
	for family := gpu.IntelSandyBridge; family <= gpu.IntelLunarLake; family++ {
		igd, ok := family.IGD()
		if !ok {
			t.Errorf("%s has no ROM", family)
			continue
		}
		sum, known := gpu.ROMChecksum(igd.ROM)
		if raw, err := hex.DecodeString(sum); !known || err != nil || len(raw) != sha256.Size {
			t.Errorf("%s: checksum %q, %v", igd.ROM, sum, err)
		}
	}
	if sum, known := gpu.ROMChecksum(gpu.UniversalROM); known {
		t.Errorf("the universal ROM has %q", sum)
	}
}

func TestCheckROM(t *testing.T) {
	t.Parallel()
	content := []byte("55 aa")
	sum := sha256.Sum256(content)
	right := hex.EncodeToString(sum[:])
	kvm := fstest.MapFS{"CFL_CML_GOPv9.1_igd.rom": {Data: content}, "own.rom": {Data: content}}
	for name, test := range map[string]struct {
		rom, sum string
		is       error
		says     string
	}{
		"as given":              {"own.rom", strings.ToUpper(right), nil, ""},
		"another than given":    {"own.rom", strings.Repeat("0", 64), gpu.ErrROM, "its SHA-256 is " + right},
		"another than is known": {"CFL_CML_GOPv9.1_igd.rom", "", gpu.ErrROM, "not cd71fe6a"},
		"nobody knows":          {"own.rom", "", gpu.ErrROM, "its checksum is not known here"},
		"not there":             {"SNB_GOPv2_igd.rom", "", fs.ErrNotExist, "SNB_GOPv2_igd.rom"},
	} {
		err := gpu.CheckROM(kvm, test.rom, test.sum)
		if !errors.Is(err, test.is) || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %v and %q", name, err, test.is, test.says)
		}
	}
}

func ExampleCheckROM() {
	kvm := fstest.MapFS{"CFL_CML_GOPv9.1_igd.rom": {Data: []byte("<html>404</html>")}} // os.DirFS("/usr/share/kvm")
	err := gpu.CheckROM(kvm, "CFL_CML_GOPv9.1_igd.rom", "")
	var wrong *gpu.ROMError
	fmt.Println(errors.As(err, &wrong), wrong.Want[:8])
	// Output: true cd71fe6a
}
