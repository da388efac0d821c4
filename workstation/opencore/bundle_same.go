package opencore

import (
	"errors"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// ErrSameBundle reports two kernel extensions from the caller that cannot be in
// one image. The error is a [SameBundleError].
var ErrSameBundle = errors.New("kernel extensions that exclude each other")

// A SameBundleError names two kernel extensions from the caller that have the
// same identifier, or the same path in the image. With the same identifier,
// OpenCore would load both into macOS. With the same path, the second would
// overwrite the first.
type SameBundleError struct {
	// First and Second say where the extensions come from. For a bundle this is
	// Bundle.From. For a plug-in it is Bundle.From, followed by the plug-in's
	// path inside the bundle.
	First, Second string
	// Same is the identifier or path that both have: "as.vit9696.Lilu", or
	// "EFI/OC/Kexts/Lilu.kext".
	Same string
}

// Error implements error.
func (e *SameBundleError) Error() string {
	return printable.Sprintf("opencore: %s and %s are both %s: give only one of them", e.First, e.Second, e.Same)
}

// Is makes the error match [ErrSameBundle].
func (e *SameBundleError) Is(target error) bool { return target == ErrSameBundle }

// Returns a [SameBundleError] if two bundles or plug-ins have the same
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
