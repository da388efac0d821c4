package rustdesk

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// An ID is the name by which a guest is reached: digits that RustDesk received,
// or a name that the guest's owner chose.
//
// RustDesk makes the first ID from the last four bytes of a network card's
// address (hbb_common src/config.rs, get_auto_id). This ID has at most 9 digits
// and may be short. An ID server refuses an ID that is too short, or that
// another guest has. RustDesk then takes a random ID (rustdesk-server
// src/rendezvous_server.rs:357, rustdesk src/rendezvous_mediator.rs,
// handle_uuid_mismatch). An ID is final when the guest has registered
// ([Report].Registered).
type ID string

// ErrID reports a text that is not an [ID].
var ErrID = errors.New("rustdesk: id")

// maxIDDigits is the greatest number of digits that ParseID accepts. The
// longest IDs that RustDesk makes have 10 digits.
const maxIDDigits = 16

// chosenID is the pattern of hbb_common src/lib.rs, is_valid_custom_id. Its \w
// includes Unicode's letters, marks and digits.
var chosenID = regexp.MustCompile(`^[a-zA-Z][\p{L}\p{M}\p{Nl}\p{Nd}\p{Pc}\x{200c}\x{200d}-]{5,15}$`)

// ParseID parses an ID as RustDesk prints it. Spaces between groups of digits,
// as in RustDesk's window, are allowed. A chosen ID is a letter from a to z,
// followed by 5 to 15 letters, digits, _ or -. The error matches [ErrID].
func ParseID(s string) (ID, error) {
	id := strings.Join(strings.Fields(s), "")
	digits := id != "" && len(id) <= maxIDDigits && !strings.ContainsFunc(id, notIn("0123456789"))
	if !digits && !(chosenID.MatchString(id) && id == strings.TrimFunc(strings.TrimSpace(s), unicode.IsSpace)) {
		return "", fmt.Errorf("%w %q: want up to %d digits, or a letter followed by 5 to 15 letters, digits, _ or -", ErrID, s, maxIDDigits)
	}
	return ID(id), nil
}
