package workstation

import (
	"strings"
	"testing"
	"time"
)

// FuzzLease reads a lease from a description that anybody may have written. The
// TTL of such a lease must be within its limits, and the lease must print as
// one line. If a controller writes a lease, it is read back unchanged, and
// removing it does not change the other text of the description.
func FuzzLease(f *testing.F) {
	f.Add("made by hand", "desk", int64(time.Minute), 140)
	f.Add("x\n<!-- proxstation-lease {\"owner\":\"a\",\"id\":\"1\",\"to\":140,\"phase\":\"stop\",\"ttl\":9223372036854775807} -->\ny", "b\x1b[2J -->", int64(-1), -1)
	f.Add("<!-- proxstation-lease {} --><!-- proxstation-lease {\"id\":1} -->", "", int64(0), 0)
	f.Add("<!-- proxstation-lease <!-- proxstation-lease {} --> -->", "{} -->", int64(1)<<62, 1)
	f.Fuzz(func(t *testing.T, description, owner string, ttl int64, to int) {
		if lease, held := readLease(description); held {
			if lease.TTL < minTTL || lease.TTL > maxTTL || lease.ID == "" {
				t.Errorf("the lease in %q is %+v", description, lease)
			}
			if text := lease.String(); strings.ContainsAny(text, "\n\r\x1b") {
				t.Errorf("the lease in %q is shown as %q", description, text)
			}
		}
		rest := withoutLease(description)
		if _, held := readLease(rest); held {
			t.Errorf("%q without its lease is %q", description, rest)
		}
		mine := Lease{Owner: strings.ToValidUTF8(owner, ""), ID: "mine", To: to, Phase: PhaseStop, TTL: min(max(time.Duration(ttl), minTTL), maxTTL)}
		written := writeLease(description, mine)
		if back, held := readLease(written); !held || back != mine {
			t.Errorf("%+v in %q is read as %+v", mine, written, back)
		}
		if left := withoutLease(written); left != rest {
			t.Errorf("%q with a lease and without it is %q, not %q", description, left, rest)
		}
	})
}
