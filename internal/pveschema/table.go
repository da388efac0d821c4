package pveschema

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed table.txt
var tableText string

// A Kind is the type of a parameter.
type Kind string

// The types of parameters in PVE's API (PVE/JSONSchema.pm).
const (
	String  Kind = "string"
	Integer Kind = "integer"
	Number  Kind = "number"
	Boolean Kind = "boolean"
	Array   Kind = "array"
)

// A Param is one parameter of an endpoint, or one key of a property string.
type Param struct {
	Name      string // "scsi[n]" stands for scsi0, scsi1 and so on
	Kind      Kind
	Optional  bool
	Enum      []string
	Min, Max  *float64
	MinLength *int
	MaxLength *int
	Pattern   string
	Format    string  // the name of PVE's format, or of a format of the table ("@net[n]")
	Default   bool    // a property string may give the value of this key without the key
	KeyAlias  string  // such as "model": "virtio=MAC" sets the key model to "virtio"
	Alias     string  // such as "macaddr": "virtio=MAC" sets the key macaddr to "MAC"
	Requires  string  // another key that must be given too
	Since     Version // the first version with the parameter; zero if all versions have it
	Until     Version // the first version without the parameter; zero if no version dropped it
}

// A Format describes a property string by its keys.
type Format struct {
	Name string
	Keys []Param
}

// A Check is a condition that the caller of an endpoint must meet: ["perm",
// path, [privileges], ...], or "and"/"or" with further checks. An empty Check
// allows everybody.
type Check []any

// An Endpoint is one method of the API.
type Endpoint struct {
	Method string
	Path   string // may contain names in braces, such as {node}
	Params []Param
	// User is "all" (every user who is logged in), "world" (everybody, even
	// without login) or "" (Check decides).
	User  string
	Check Check
	// Open reports whether parameters beyond Params are allowed.
	Open bool
	// NoToken reports whether API tokens are refused.
	NoToken bool

	parts []string // the parts of Path
}

type table struct {
	endpoints []*Endpoint
	others    []*Endpoint // endpoints for which only method and path are known
	formats   map[string]*Format
}

// loaded parses the embedded table once. It panics if the table has a fault,
// because the table is part of the program.
var loaded = sync.OnceValue(func() *table {
	t, err := parseTable(tableText)
	if err != nil {
		panic(err)
	}
	return t
})

func parseTable(text string) (*table, error) {
	t := &table{formats: map[string]*Format{}}
	var params *[]Param
	for i, line := range strings.Split(text, "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == ' ' {
			p, err := parseParam(strings.TrimSpace(line))
			if err != nil {
				return nil, fmt.Errorf("pveschema: table line %d: %w", i+1, err)
			}
			*params = append(*params, p)
			continue
		}
		head, rest, _ := strings.Cut(line, " ")
		if head == "format" {
			format := &Format{Name: rest}
			t.formats[rest], params = format, &format.Keys
			continue
		}
		if head == "other" {
			method, path, _ := strings.Cut(rest, " ")
			t.others = append(t.others, &Endpoint{Method: method, Path: path, parts: fragments(path)})
			continue
		}
		endpoint, err := parseEndpoint(head, rest)
		if err != nil {
			return nil, fmt.Errorf("pveschema: table line %d: %w", i+1, err)
		}
		endpoint.parts = fragments(endpoint.Path)
		t.endpoints, params = append(t.endpoints, endpoint), &endpoint.Params
	}
	return t, nil
}

// parseParam parses a line "name kind flag flag ...". The pattern comes last
// because it may contain spaces.
func parseParam(line string) (Param, error) {
	line, pattern, _ := strings.Cut(line, " pattern=")
	fields := strings.Fields(line)
	if len(fields) < 2 {
		return Param{}, fmt.Errorf("%q: want a name and a kind", line)
	}
	p := Param{Name: fields[0], Kind: Kind(fields[1]), Pattern: pattern}
	for _, flag := range fields[2:] {
		key, value, _ := strings.Cut(flag, "=")
		var err error
		switch key {
		case "optional":
			p.Optional = true
		case "default":
			p.Default = true
		case "enum":
			p.Enum = strings.Split(value, "|")
			if value == "@reported-models" {
				p.Enum = reportedModels()
			}
		case "format":
			p.Format = value
		case "keyalias":
			p.KeyAlias = value
		case "requires":
			p.Requires = value
		case "alias":
			p.Alias = value
		case "since":
			p.Since = ParseVersion(value)
		case "until":
			p.Until = ParseVersion(value)
		case "min":
			p.Min, err = parseNumber(value)
		case "max":
			p.Max, err = parseNumber(value)
		case "minlength":
			p.MinLength, err = parseLength(value)
		case "maxlength":
			p.MaxLength, err = parseLength(value)
		default:
			err = fmt.Errorf("unknown flag %q", flag)
		}
		if err != nil {
			return Param{}, err
		}
	}
	return p, nil
}

func parseNumber(s string) (*float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	return &n, err
}

func parseLength(s string) (*int, error) {
	n, err := strconv.Atoi(s)
	return &n, err
}

// Lookup returns the endpoint for a request, and the values of the names in the
// endpoint's path. ok is false if the table has no such endpoint.
func Lookup(method, path string) (endpoint *Endpoint, names map[string]string, ok bool) {
	return lookup(loaded().endpoints, method, fragments(path))
}

// Exists reports whether PVE has a method on a path. The table may lack the
// method's parameters.
func Exists(method, path string) bool {
	parts := fragments(path)
	_, _, known := lookup(loaded().endpoints, method, parts)
	_, _, other := lookup(loaded().others, method, parts)
	return known || other
}

func lookup(endpoints []*Endpoint, method string, parts []string) (endpoint *Endpoint, names map[string]string, ok bool) {
	for _, e := range endpoints {
		if e.Method == method && e.match(parts) {
			return e, e.names(parts), true
		}
	}
	return nil, nil, false
}

// Endpoints returns all endpoints of the table.
func Endpoints() []*Endpoint { return slices.Clone(loaded().endpoints) }

// fragments splits a path as PVE does: empty fragments are dropped
// (PVE/RESTHandler.pm, find_handler).
func fragments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// match reports whether a path, split into its parts, belongs to the endpoint.
// The last name stands for all remaining parts of the path, because a volume ID
// may hold slashes.
func (e *Endpoint) match(have []string) bool {
	last := len(e.parts) - 1
	if len(have) != len(e.parts) && !(len(have) > len(e.parts) && e.parts[last] == "{volume}") {
		return false
	}
	for i, part := range e.parts {
		if part != have[i] && part[0] != '{' {
			return false
		}
	}
	return true
}

// The method "names" returns the values of the names in the endpoint's path,
// taken from a request's path.
func (e *Endpoint) names(have []string) map[string]string {
	names := map[string]string{}
	for i, part := range e.parts {
		if name, found := strings.CutPrefix(part, "{"); found {
			names[strings.TrimSuffix(name, "}")] = have[i]
		}
	}
	if last := len(e.parts) - 1; len(have) > len(e.parts) {
		names["volume"] = strings.Join(have[last:], "/")
	}
	return names
}
