package pveschema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Values holds the parameters of a request as text. An array has one value per
// element.
type Values map[string][]string

// Get returns the first value of a parameter, or "" if the parameter is
// missing.
func (v Values) Get(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

// Verify checks the parameters of a request like the newest PVE. It returns the
// name of each wrong parameter and the reason, as in the "errors" of PVE's
// answer. The reasons are in PVE's words and with PVE's line feeds. The map is
// empty if PVE accepts the request.
func (e *Endpoint) Verify(values Values) map[string]string { return e.VerifyAt(Version{}, values) }

// VerifyAt does the same as Verify for a given version of PVE. An older version
// rejects parameters and keys that were added later.
func (e *Endpoint) VerifyAt(at Version, values Values) map[string]string {
	problems := map[string]string{}
	for i := range e.Params {
		p := &e.Params[i]
		if strings.HasSuffix(p.Name, "[n]") || p.Optional {
			continue
		}
		if _, there := values[p.Name]; !there {
			problems[p.Name] = missing
		}
	}
	for name, list := range values {
		p := find(e.Params, name)
		switch {
		case p == nil || !p.known(at):
			if !e.Open {
				problems[name] = undefined
			}
		case p.Kind == Array:
			for i, value := range list {
				path := fmt.Sprintf("%s[%d]", name, i)
				if problem := p.verify(at, path, value); problem != "" {
					problems[path] = problem
				}
			}
		case len(list) > 1:
			problems[name] = fmt.Sprintf("type check ('%s') failed - got ARRAY", p.Kind)
		default:
			if problem := p.verify(at, name, list[0]); problem != "" {
				problems[name] = problem
			}
		}
		if p != nil && p.Requires != "" && values[p.Requires] == nil {
			problems[p.Requires] = fmt.Sprintf("missing property required by '%s'", name)
		}
	}
	return problems
}

// These are PVE's messages about parameters and keys (PVE/JSONSchema.pm).
const (
	missing   = "property is missing and it is not optional"
	undefined = "property is not defined in schema and the schema does not allow additional properties"
)

// verify returns PVE's message about a value, or "" if the value is right. path
// is PVE's name for the place of the value: "scsi0", "map[0]", "scsi0.file"
// (check_prop of PVE/JSONSchema.pm).
func (p *Param) verify(at Version, path, value string) string {
	switch {
	case p.Kind == Boolean && value != "0" && value != "1",
		p.Kind == Integer && !integer.MatchString(value),
		p.Kind == Number && !number.MatchString(value):
		return fmt.Sprintf("type check ('%s') failed - got '%s'", p.Kind, value)
	}
	if p.Format != "" {
		if err := checkFormat(at, p.Format, path, value); err != nil {
			return "invalid format - " + err.Error() + "\n"
		}
	}
	if p.Pattern != "" && !compile(p.Pattern).MatchString(value) {
		return "value does not match the regex pattern"
	}
	if problem := p.bounds(value); problem != "" {
		return problem
	}
	if p.Enum != nil && !slices.Contains(p.Enum, value) {
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", value, strings.Join(p.Enum, ", "))
	}
	return ""
}

func (p *Param) bounds(value string) string {
	length := utf8.RuneCountInString(value)
	if p.MaxLength != nil && length > *p.MaxLength {
		return fmt.Sprintf("value may only be %d characters long", *p.MaxLength)
	}
	if p.MinLength != nil && length < *p.MinLength {
		return fmt.Sprintf("value must be at least %d characters long", *p.MinLength)
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !number.MatchString(value) {
		return ""
	}
	if p.Max != nil && n > *p.Max {
		return fmt.Sprintf("value must have a maximum value of %s", text(*p.Max))
	}
	if p.Min != nil && n < *p.Min {
		return fmt.Sprintf("value must have a minimum value of %s", text(*p.Min))
	}
	return ""
}

func text(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }

var (
	integer = regexp.MustCompile(`^[+-]?\d+\n?$`)
	number  = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\n?$`)
)

var patterns sync.Map // the compiled patterns

// compile compiles a pattern of the API description. Like PVE's Perl code, it
// puts ^ before the pattern and $ after it, without a group. The anchors then
// belong only to the first and the last alternative of the pattern. A pattern
// that Go cannot compile accepts every value. A test lists these patterns.
func compile(pattern string) *regexp.Regexp {
	if known, ok := patterns.Load(pattern); ok {
		return known.(*regexp.Regexp)
	}
	re, err := regexp.Compile(`^` + strings.NewReplacer("(?^:", "(?:", "(?^i:", "(?i:", "{,", "{0,", "{0,4096}", "*").Replace(pattern) + `\n?$`)
	if err != nil {
		re = regexp.MustCompile(``)
	}
	patterns.Store(pattern, re)
	return re
}
