package pveschema

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Values are the parameters of a request as text. Arrays have one value per
// element.
type Values map[string][]string

// Get returns a parameter's only or first value, and "" where it is absent.
func (v Values) Get(name string) string {
	if len(v[name]) == 0 {
		return ""
	}
	return v[name][0]
}

// Verify returns what PVE answers in "errors" to such a request: the name of
// each wrong parameter and why, in PVE's words. It is empty if PVE takes it.
func (e *Endpoint) Verify(values Values) map[string]string {
	problems := map[string]string{}
	for i := range e.Params {
		p := &e.Params[i]
		if strings.HasSuffix(p.Name, "[n]") || p.Optional {
			continue
		}
		if _, there := values[p.Name]; !there {
			problems[p.Name] = "property is missing and it is not optional"
		}
	}
	for name, list := range values {
		p := e.param(name)
		if p == nil {
			if !e.Open {
				problems[name] = "property is not defined in schema and the schema does not allow additional properties"
			}
			continue
		}
		for _, value := range list {
			if problem := p.verify(value); problem != "" {
				problems[name] = problem
			}
		}
	}
	return problems
}

// verify returns what is wrong with a value, or "".
func (p *Param) verify(value string) string {
	switch p.Kind {
	case Boolean:
		if value != "0" && value != "1" {
			return fmt.Sprintf("type check ('boolean') failed - got '%s'", value)
		}
	case Integer:
		if !integer.MatchString(value) {
			return fmt.Sprintf("type check ('integer') failed - got '%s'", value)
		}
	case Number:
		if !number.MatchString(value) {
			return fmt.Sprintf("type check ('number') failed - got '%s'", value)
		}
	}
	if p.Format != "" {
		if err := checkFormat(p.Format, value); err != nil {
			return "invalid format - " + err.Error()
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
	if p.MaxLength != nil && len(value) > *p.MaxLength {
		return fmt.Sprintf("value may only be %d characters long", *p.MaxLength)
	}
	if p.MinLength != nil && len(value) < *p.MinLength {
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
	integer = regexp.MustCompile(`^[+-]?\d+$`)
	number  = regexp.MustCompile(`^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$`)
)

var patterns sync.Map // of patterns compiled so far

// compile compiles a pattern of the API description, which is Perl's and
// anchored at both ends. A pattern that Go cannot compile accepts everything;
// a test names those.
func compile(pattern string) *regexp.Regexp {
	if known, ok := patterns.Load(pattern); ok {
		return known.(*regexp.Regexp)
	}
	re, err := regexp.Compile(`^(?s:` + strings.ReplaceAll(pattern, "(?^:", "(?:") + `)$`)
	if err != nil {
		re = regexp.MustCompile(``)
	}
	patterns.Store(pattern, re)
	return re
}

// ParseProperties parses a property string in the named format. It returns the
// value of each key, and PVE's words where the string is wrong.
func ParseProperties(format, value string) (map[string]string, error) {
	f, ok := loaded().formats[format]
	if !ok {
		return nil, fmt.Errorf("undefined format '%s'", format)
	}
	return f.parse(value)
}

func (f *Format) parse(data string) (map[string]string, error) {
	res := map[string]string{}
	for part := range strings.SplitSeq(data, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		if !found {
			key, value = f.defaultKey(), part
			if key == "" {
				return nil, fmt.Errorf("value without key, but schema does not define a default key")
			}
		}
		if key == "" || value == "" {
			return nil, fmt.Errorf("missing key in comma-separated list property")
		}
		if err := f.put(res, key, value); err != nil {
			return nil, err
		}
	}
	return res, f.verify(res)
}

func (f *Format) put(res map[string]string, key, value string) error {
	p := find(f.Keys, key)
	if p == nil {
		return fmt.Errorf("invalid key in comma-separated list property: %s", key)
	}
	if p.Alias != "" {
		if p.KeyAlias != "" {
			if _, twice := res[p.KeyAlias]; twice {
				return fmt.Errorf("key alias '%s' is already defined", p.KeyAlias)
			}
			res[p.KeyAlias] = key
		}
		key = p.Alias
		p = find(f.Keys, key)
	}
	if _, twice := res[key]; twice {
		return fmt.Errorf("duplicate key in comma-separated list property: %s", key)
	}
	if p != nil && p.Kind == Boolean {
		value = boolean(value)
	}
	res[key] = value
	return nil
}

func (f *Format) verify(res map[string]string) error {
	for i := range f.Keys {
		p := &f.Keys[i]
		value, there := res[p.Name]
		switch {
		case p.Alias != "":
		case !there && !p.Optional:
			return fmt.Errorf("format error\n%s: property is missing and it is not optional", p.Name)
		case there && p.Requires != "" && res[p.Requires] == "":
			return fmt.Errorf("format error\n%s: missing property required by '%s'", p.Requires, p.Name)
		case there:
			if problem := p.verify(value); problem != "" {
				return fmt.Errorf("format error\n%s: %s", p.Name, problem)
			}
		}
	}
	return nil
}

func (f *Format) defaultKey() string {
	for i := range f.Keys {
		if f.Keys[i].Default {
			return f.Keys[i].Name
		}
	}
	return ""
}

// boolean gives the spellings of a boolean in a property string one form
// (parse_boolean of PVE/JSONSchema.pm).
func boolean(value string) string {
	switch strings.ToLower(value) {
	case "1", "on", "yes", "true":
		return "1"
	case "0", "off", "no", "false":
		return "0"
	}
	return value
}
