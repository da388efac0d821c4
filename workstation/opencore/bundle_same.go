package opencore

import (
	"errors"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// ErrSameBundle reports given kernel extensions of which an image can hold only
// one. The error is a [SameBundleError].
var ErrSameBundle = errors.New("kernel extensions that exclude each other")

// A SameBundleError names two given kernel extensions that have the same
// identifier, or the same path in the image. OpenCore would put both into
// macOS's kernel, or the second would overwrite the first.
type SameBundleError struct {
	// First and Second say where the extensions come from: Bundle.From, and the
	// path below it for a plug-in.
	First, Second string
	// Same is what both are: "as.vit9696.Lilu", or "EFI/OC/Kexts/Lilu.kext".
	Same string
}

// Error implements error.
func (e *SameBundleError) Error() string {
	return printable.Sprintf("opencore: %s and %s are both %s: give only one of them", e.First, e.Second, e.Same)
}

// Is makes the error match [ErrSameBundle].
func (e *SameBundleError) Is(target error) bool { return target == ErrSameBundle }

// distinct returns a [SameBundleError] if two bundles or plug-ins have the same
// identifier or the same path.
func distinct(bundles []Bundle) error {
	from := map[string]string{}
	for _, b := range bundles {
		for _, k := range append([]Kext{b.Kext}, b.Inside...) {
			at := b.From + strings.TrimPrefix(k.Path, b.Path)
			for _, same := range []string{k.ID, folder + "/Kexts/" + k.Path} {
				if first, taken := from[strings.ToLower(same)]; taken {
					return &SameBundleError{First: first, Second: at, Same: same}
				}
				from[strings.ToLower(same)] = at
			}
		}
	}
	return nil
}
