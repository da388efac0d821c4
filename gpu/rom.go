package gpu

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// ROMRelease is the release of the option ROMs whose names and checksums this
// package knows: github.com/LongQT-sea/intel-igpu-passthru/releases/tag/v0.1.
const ROMRelease = "intel-igpu-passthru v0.1"

// romSums holds the SHA-256 checksums on the page of [ROMRelease]. The checksum
// of [UniversalROM] could not be read on that page, so a caller who uses this
// ROM must supply the checksum.
var romSums = map[string]string{
	"SNB_GOPv2_igd.rom":                "da5e0ee315d23469eeca66e271ff99f61475bdc44e863fc11010773f14521ead",
	"IVB_GOPv3_igd.rom":                "42e64164c7b25f4b66215e9d453504ce2dcfd7a9c687f4316da256937b515b9f",
	"HSW_BDW_GOPv5_igd.rom":            "504702d564cb1b152d23df04f163f24681f65ed18b64519612fb08dce0fab775",
	"SKL_CML_GOPv9_igd.rom":            "71801f9643a02dcccb6f3de0870a38d20876535d11e8dc18b398a813954477cb",
	"CFL_CML_GOPv9.1_igd.rom":          "cd71fe6a13c7e9db4eb6b2fe46bfd54a8235b3a655c8aa5288a8ff0fa0d218e6",
	"GLK_GOPv13_igd.rom":               "b5b0e777d1b5d8fcf81cd35e8562e66f5578b7dde522bdf7ab5a326e80ce0a1e",
	"ICL_GOPv14_igd.rom":               "4d75b6fd6e85bff333effa62845b085f26ae5a18ff34db9a059b9421f5afe479",
	"RKL_TGL_ADL_RPL_GOPv17_igd.rom":   "9d91bb6a5cc6d7c6dc4ab1783771b77972bf00c17e05d58850638eb389ff1ce4",
	"RKL_TGL_ADL_RPL_GOPv17.1_igd.rom": "25a4c1f9c06310bc1f8435e1aa0d71bdc1db7a6465f33482bee59020e68983d1",
	"JSL_GOPv18_igd.rom":               "f134703cdcd9494558c5e96ae0a7996921d32935ce91dffee401ca350bde034c",
	"ADL-H_RPL-H_GOPv21_igd.rom":       "8316906f2a391c3c6830d6c311e7cb6436525d34ba28a861127ae1ce649c2b2d",
	"ADL-N_TWL_GOPv21_igd.rom":         "2d2343fccbbeaf3d7df2280dd25a5f60a0aaf4b8e8ded15997b444d23afe0c3a",
	"ARL_MTL_GOPv22_igd.rom":           "96b35a3cc2be0e6ad2fd4e0837303a5491ee7751a8e4f091eef67f79687bc6dc",
	"LNL_GOPv2X_igd.rom":               "ff3743bb517b0d7c6e0e4059ae529cb9cb115ca4efc8c259a7ec46b6fc0712cb",
}

// ROMChecksum returns the SHA-256 checksum, in hexadecimal, of an option ROM of
// [ROMRelease]. ok is false for an unknown name.
func ROMChecksum(name string) (sum string, ok bool) {
	sum, ok = romSums[name]
	return sum, ok
}

// ErrROM reports an option ROM that has another checksum than expected. It does
// not report a missing file, for which [CheckROM] returns [fs.ErrNotExist].
var ErrROM = errors.New("not the expected option ROM")

// A ROMError holds the checksum of a file that is not the expected option ROM.
// It matches [ErrROM].
type ROMError struct {
	Name string
	Want string // the expected SHA-256 checksum; empty if it is not known
	Have string
}

// Error names both checksums.
func (e *ROMError) Error() string {
	if e.Want == "" {
		return printable.Sprintf("gpu: %s: its checksum is not known here: compare %s with the publisher's checksum, and pass that checksum", e.Name, e.Have)
	}
	return printable.Sprintf("gpu: %s: %v: its SHA-256 is %s, not %s: fetch it again from %s", e.Name, ErrROM, e.Have, e.Want, ROMRelease)
}

// Is reports whether target is [ErrROM].
func (e *ROMError) Is(target error) bool { return target == ErrROM }

// CheckROM returns nil if an option ROM has the right SHA-256 checksum. If
// checksum is empty, the right checksum is the result of [ROMChecksum]. kvm is
// the node's directory /usr/share/kvm, in which PVE looks for a romfile. Only
// the host itself can read that directory; PVE's API does not show it. The
// error is a [*ROMError] or the file system's error.
func CheckROM(kvm fs.FS, name, checksum string) error {
	if checksum == "" {
		checksum, _ = ROMChecksum(name)
	}
	file, err := kvm.Open(name)
	if err != nil {
		return fmt.Errorf("gpu: option ROM: %w", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return fmt.Errorf("gpu: option ROM %s: %w", name, err)
	}
	if have := hex.EncodeToString(hash.Sum(nil)); !strings.EqualFold(have, checksum) {
		return &ROMError{Name: name, Want: checksum, Have: have}
	}
	return nil
}
