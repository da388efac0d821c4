package pveschema

import (
	"cmp"
	"fmt"
)

// A Version is a release of PVE, such as 9.2. The zero Version stands for the
// newest release.
type Version struct{ Major, Minor int }

// ParseVersion reads the first two numbers of a version such as "9.2.11". For a
// text that is not a version it returns the zero Version.
func ParseVersion(s string) (v Version) {
	_, _ = fmt.Sscanf(s, "%d.%d", &v.Major, &v.Minor) // keeps the numbers before a mistake
	return v
}

// The method "known" reports whether a version of PVE has a parameter.
func (p *Param) known(at Version) bool {
	dropped := p.Until != (Version{}) && (at == (Version{}) || !at.before(p.Until))
	return !at.before(p.Since) && !dropped
}

// The method "before" reports whether the version v is older than the version
// since, in which a parameter was introduced.
func (v Version) before(since Version) bool {
	if v == (Version{}) || since == (Version{}) {
		return false
	}
	return cmp.Or(cmp.Compare(v.Major, since.Major), cmp.Compare(v.Minor, since.Minor)) < 0
}
