package opencore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// ErrIdentity reports an identity that a Mac could not have. The error is an
// [IdentityError].
var ErrIdentity = errors.New("not an identity that a Mac could have")

// An IdentityError says what is wrong with an identity. It does not contain the
// identity.
type IdentityError struct {
	Field string // the key below PlatformInfo -> Generic
	Why   string
}

// Error implements error.
func (e *IdentityError) Error() string { return printable.Sprintf("opencore: %s: %s", e.Field, e.Why) }

// Is makes the error match [ErrIdentity].
func (e *IdentityError) Is(target error) bool { return target == ErrIdentity }

// An Identity holds the numbers that differ from Mac to Mac. A field that is
// not set keeps the image's value. No plan and no error shows an identity.
type Identity struct {
	// Serial is the machine's serial number, 12 letters and digits. Board is
	// the board's serial number (MLB), 17 letters and digits.
	Serial, Board proxstation.Secret
	// UUID is the machine's UUID.
	UUID proxstation.Secret
	// ROM is an address of 6 bytes, as hexadecimal digits with or without
	// colons. On a Mac it is the address of the first network card.
	ROM proxstation.Secret
}

// Returns the fields that are set, by key. The error is an [IdentityError].
func (i Identity) values() (map[string]Value, error) {
	values := map[string]Value{}
	for name, secret := range map[string]proxstation.Secret{"SystemSerialNumber": i.Serial, "MLB": i.Board, "SystemUUID": i.UUID, "ROM": i.ROM} {
		text := secret.Reveal()
		if text == "" {
			continue
		}
		value := TextValue(text)
		if name == "ROM" {
			data, err := hex.DecodeString(strings.NewReplacer(":", "", "-", "").Replace(text))
			if err != nil {
				return nil, &IdentityError{name, "want 6 bytes in hexadecimal"}
			}
			value = DataValue(data)
		}
		for _, id := range identity {
			if id.name == name && !id.form.MatchString(value.Text) {
				return nil, &IdentityError{name, "want " + id.want}
			}
		}
		if isPublished(value.Text) {
			return nil, &IdentityError{name, "it comes from a published image or sample, so many machines have it"}
		}
		values[name] = value
	}
	return values, nil
}

// The variable "codes" holds the parts of serial numbers that depend on the
// model (OpenCorePkg AppleModels: AppleModelCode, AppleBoardCode). The number
// of a machine contains the field "half", and the number of a board contains the
// field "year". Both fields stand for a time when the model was sold.
var codes = map[string]struct{ model, board, half, year string }{
	"iMac13,1": {"DNCT", "DYWF", "J", "2"}, "iMac14,4": {"FY0T", "G36D", "N", "4"}, "iMac16,2": {"GG7F", "GQRY", "Q", "5"},
	"iMac17,1": {"GG7L", "GPF7", "Q", "5"}, "iMac18,1": {"H7JY", "H69F", "T", "7"}, "iMac19,1": {"JV3Q", "LNV9", "Y", "9"},
	"iMac20,1": {"PN5T", "PHC1", "D", "0"}, "iMacPro1,1": {"HX87", "JG36", "V", "7"}, "MacPro7,1": {"P7QM", "K3F7", "Z", "9"},
	"Macmini8,1": {"JYVX", "KXPG", "X", "8"}, "MacBookPro16,2": {"ML7H", "P8PG", "C", "0"},
}

const (
	digits34 = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZ" // the digits and the letters without I and O
	weeks    = "123456789CDFGHJKLMNPQRTVWX"         // each character stands for a week of the half-year
)

// MakeIdentity makes up an identity for a model such as "iMac19,1". Its numbers
// have Apple's form, but a real Mac may have the same numbers. Before you use
// an Apple account, look up the serial number on checkcoverage.apple.com: it
// must be unknown there. The parameter "address" is the MAC address of the VM's
// network card. If it is "", the ROM is made up too. The parameter "random" is
// crypto/rand's Reader. Tests may pass another reader. If this package does not
// know the numbers of the model, the error is an [IdentityError].
func MakeIdentity(model, address string, random io.Reader) (Identity, error) {
	c, known := codes[model]
	if !known {
		return Identity{}, &IdentityError{"SystemSerialNumber", "no numbers of the model " + model + " are known here: give an identity of your own"}
	}
	bytes := make([]byte, 64)
	if _, err := io.ReadFull(random, bytes); err != nil {
		return Identity{}, fmt.Errorf("opencore: %w", err)
	}
	next := func(alphabet string) string {
		b := bytes[0]
		bytes = bytes[1:]
		return string(alphabet[int(b)%len(alphabet)])
	}
	serial := "C02" + c.half + next(weeks) + next(digits34) + next(digits34) + next(digits34) + c.model
	week := 1 + int(bytes[0])%52
	bytes = bytes[1:]
	board := fmt.Sprintf("C02%s%02d%s%s%s%s%s%s%s", c.year, week, next(digits34), next(digits34), next(digits34), next(digits34), next(digits34), c.board, next(digits34))
	board += string(digits34[checkDigit(board)])
	uuid := bytes[:16]
	uuid[6], uuid[8] = uuid[6]&0x0F|0x40, uuid[8]&0x3F|0x80 // the bits of version 4 (RFC 9562)
	if address == "" {
		address = hex.EncodeToString(append([]byte{bytes[16]&0xFC | 2}, bytes[17:22]...)) // a locally administered address
	}
	return Identity{Serial: proxstation.NewSecret(serial), Board: proxstation.NewSecret(board), ROM: proxstation.NewSecret(address),
		UUID: proxstation.NewSecret(strings.ToUpper(fmt.Sprintf("%x-%x-%x-%x-%x", uuid[:4], uuid[4:6], uuid[6:8], uuid[8:10], uuid[10:])))}, nil
}

// checkDigit returns the last of the 17 digits of a board's number. Every other
// digit counts three times, and the sum is a multiple of 34 (OpenCorePkg
// Utilities/macserial, verify_mlb_checksum).
func checkDigit(board string) int {
	sum := 0
	for i, c := range board {
		sum += (1 + i%2*2) * strings.IndexRune(digits34, c)
	}
	return (len(digits34) - sum%len(digits34)) % len(digits34)
}
