package opencore

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// A Version is a version of OpenCore or of a kernel extension.
type Version struct{ Major, Minor, Patch int }

// ParseVersion reads a version such as "1.6.8". Missing parts are 0. The result
// known is false if the text is not a version.
func ParseVersion(text string) (v Version, known bool) {
	parts := strings.SplitN(text, ".", 4)
	for i, part := range parts[:min(len(parts), 3)] {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return Version{}, false
		}
		*[]*int{&v.Major, &v.Minor, &v.Patch}[i] = n
	}
	return v, true
}

// String returns the version in the form "1.0.5", and "unknown" for the zero
// Version.
func (v Version) String() string {
	if v == (Version{}) {
		return "unknown"
	}
	return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch)
}

// Before reports whether v is older than other.
func (v Version) Before(other Version) bool {
	return v.Major < other.Major || v.Major == other.Major && (v.Minor < other.Minor || v.Minor == other.Minor && v.Patch < other.Patch)
}

// versionOf reads the version of OpenCore.efi. It returns the zero Version if
// it cannot find the version. The program contains a template, and its code
// writes the version's digits into the template when it starts (OpenCorePkg
// Library/OcMainLib/OpenCoreMisc.c). versionOf looks for the instructions that
// write the digits. Such an instruction names the place in the template by its
// distance from the next instruction.
func versionOf(program []byte) Version {
	at := -1
	for _, target := range []string{"REL", "DBG", "NPT"} {
		if i := bytes.Index(program, []byte(target+"-XXX-YYYY-MM-DD")); i >= 0 {
			at = i
		}
	}
	file, err := pe.NewFile(bytes.NewReader(program))
	if at < 0 || err != nil {
		return Version{}
	}
	var digits [3]byte // in the template, the first two digits are at offset 4, the third at offset 6
	template := addressOf(file, at)
	for _, section := range file.Sections {
		code, err := section.Data()
		if err != nil || section.Characteristics&pe.IMAGE_SCN_MEM_EXECUTE == 0 {
			continue
		}
		for i := range code {
			short := bytes.HasPrefix(code[i:], []byte{0x66, 0xC7, 0x05}) && i+9 <= len(code) // an instruction that writes two bytes
			single := bytes.HasPrefix(code[i:], []byte{0xC6, 0x05}) && i+7 <= len(code)      // an instruction that writes one byte
			switch {
			case short && target(section, i, code[i+3:], 9) == template+4:
				copy(digits[:2], code[i+7:])
			case single && target(section, i, code[i+2:], 7) == template+6:
				digits[2] = code[i+6]
			}
		}
	}
	for _, digit := range digits {
		if digit < '0' || digit > '9' {
			return Version{}
		}
	}
	return Version{int(digits[0] - '0'), int(digits[1] - '0'), int(digits[2] - '0')}
}

// Returns the address that an instruction gives as a distance from its own end.
// The parameter "length" is the length of the instruction.
func target(section *pe.Section, i int, displacement []byte, length int) int64 {
	return int64(section.VirtualAddress) + int64(i+length) + int64(int32(binary.LittleEndian.Uint32(displacement)))
}

// addressOf returns the address at which a byte of the file is loaded.
func addressOf(file *pe.File, at int) int64 {
	for _, s := range file.Sections {
		if offset := int64(at) - int64(s.Offset); offset >= 0 && offset < int64(s.Size) {
			return int64(s.VirtualAddress) + offset
		}
	}
	return -1
}

// The function "vaulted" reports whether OpenCore.efi contains a key. OpenCore
// then starts only with files that are signed with this key (OpenCore
// Configuration, section Security, Vault).
func vaulted(program []byte) bool {
	_, rest, begins := bytes.Cut(program, []byte("=BEGIN OC VAULT="))
	key, _, ends := bytes.Cut(rest, []byte("==END OC VAULT=="))
	return begins && ends && len(bytes.Trim(key, "\x00")) > 0
}
