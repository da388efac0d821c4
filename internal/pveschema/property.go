package pveschema

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ParseProperties parses a property string of the named format. It returns the
// value of each key, or an error in PVE's words.
func ParseProperties(format, value string) (map[string]string, error) {
	f, ok := loaded().formats[format]
	if !ok {
		return nil, fmt.Errorf("undefined format '%s'", format)
	}
	return f.parse(Version{}, "", value)
}

// parse reads a property string such as "a,b=c" (parse_property_string of
// PVE/JSONSchema.pm).
func (f *Format) parse(at Version, path, data string) (map[string]string, error) {
	res, withoutKey := map[string]string{}, false
	for part := range strings.SplitSeq(data, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		key, value, found := strings.Cut(part, "=")
		switch {
		case found && (key == "" || value == ""):
			return nil, fmt.Errorf("missing key in comma-separated list property")
		case found:
			if err := f.put(res, key, value); err != nil {
				return nil, err
			}
			continue
		}
		p := f.defaultKey()
		switch {
		case p == nil:
			return nil, fmt.Errorf("value without key, but schema does not define a default key")
		case withoutKey || res[p.Name] != "" && res[p.Name] != "0":
			return nil, fmt.Errorf("duplicate key in comma-separated list property: %s", p.Name)
		}
		withoutKey, res[p.Name] = true, p.normal(part)
	}
	if err := f.verify(at, path, res); err != nil {
		return nil, err
	}
	if check := validators[f.Name]; check != nil {
		return res, check(res)
	}
	return res, nil
}

func (f *Format) put(res map[string]string, key, value string) error {
	if _, twice := res[key]; twice {
		return fmt.Errorf("duplicate key in comma-separated list property: %s", key)
	}
	p := find(f.Keys, key)
	if p != nil && p.Alias != "" {
		if p.KeyAlias != "" {
			if _, twice := res[p.KeyAlias]; twice {
				return fmt.Errorf("key alias '%s' is already defined", p.KeyAlias)
			}
			res[p.KeyAlias] = key
		}
		key = p.Alias
		p = find(f.Keys, key)
		if _, twice := res[key]; twice {
			return fmt.Errorf("key '%s' is already defined (via alias)", key)
		}
	}
	res[key] = p.normal(value)
	return nil
}

// normal returns "1" or "0" for the spellings of a boolean, and other values as
// they are (parse_boolean of PVE/JSONSchema.pm).
func (p *Param) normal(value string) string {
	if p == nil || p.Kind != Boolean {
		return value
	}
	switch strings.ToLower(value) {
	case "1", "on", "yes", "true":
		return "1"
	case "0", "off", "no", "false":
		return "0"
	}
	return value
}

// verify checks the keys of a parsed property string (check_object of
// PVE/JSONSchema.pm).
func (f *Format) verify(at Version, path string, res map[string]string) error {
	problems := map[string]string{}
	name := func(key string) string {
		if path == "" {
			return key
		}
		return path + "." + key
	}
	for i := range f.Keys {
		p := &f.Keys[i]
		value, there := res[p.Name]
		switch {
		case p.Alias != "" || strings.HasSuffix(p.Name, "[n]"):
		case !there && !p.Optional:
			problems[name(p.Name)] = missing
		case there:
			if problem := p.verify(at, name(p.Name), value); problem != "" {
				problems[name(p.Name)] = problem
			}
		}
	}
	for key := range res {
		p := find(f.Keys, key)
		switch {
		case p == nil || !p.known(at):
			problems[name(key)] = undefined
		case p.Requires != "" && res[p.Requires] == "":
			problems[name(p.Requires)] = fmt.Sprintf("missing property required by '%s'", name(key))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	said := "format error"
	for _, key := range slices.Sorted(maps.Keys(problems)) {
		said += "\n" + key + ": " + strings.TrimRight(problems[key], "\n")
	}
	return fmt.Errorf("%s", said)
}

func (f *Format) defaultKey() *Param {
	for i := range f.Keys {
		if f.Keys[i].Default {
			return &f.Keys[i]
		}
	}
	return nil
}
