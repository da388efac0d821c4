package pveschema

import (
	"cmp"
	"fmt"
)

// A Version is a release of PVE: 9.2. The zero Version is the newest.
type Version struct{ Major, Minor int }

// ParseVersion reads "9.2.11" up to the second number. For a text that is not a
// version it returns the zero Version.
func ParseVersion(s string) (v Version) {
	_, _ = fmt.Sscanf(s, "%d.%d", &v.Major, &v.Minor) // the numbers before a mistake are kept
	return v
}

// known reports whether a version of PVE has a parameter.
func (p *Param) known(at Version) bool {
	dropped := p.Until != (Version{}) && (at == (Version{}) || !at.before(p.Until))
	return !at.before(p.Since) && !dropped
}

// before reports whether something that came with a release is not in v yet.
func (v Version) before(since Version) bool {
	if v == (Version{}) || since == (Version{}) {
		return false
	}
	return cmp.Or(cmp.Compare(v.Major, since.Major), cmp.Compare(v.Minor, since.Minor)) < 0
}
