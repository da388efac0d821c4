package browser_test

import (
	"flag"
	"slices"
	"testing"
)

var update = flag.Bool("update", false, "write the pictures of docs/pictures")

const pictures = "../../docs/pictures"

// The test takes a picture of the page in every state in which people see it.
// It fails if the page cannot be brought into a state. It does not compare
// pixels.
func TestPictures(t *testing.T) {
	t.Parallel()
	for name, on := range map[string]screen{"on": phone, "asks": phone.inDark(), "switching": phone.inDark(), "returned": phone, "leased": phone, "hung": phone.inDark(),
		"desk": desktop, "desk-blocked": desktop.inDark()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := states()
			st := all[slices.IndexFunc(all, func(s state) bool { return s.name == name })]
			picture(t, name, shot(t, st.show(t, on), on, name != "asks"))
		})
	}
}
