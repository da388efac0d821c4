package pveschema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// parseEndpoint returns the endpoint of a method. rest holds the endpoint's
// path and its access rules in JSON, as in PVE's description: "/path
// {"user":"all"}".
func parseEndpoint(method, rest string) (*Endpoint, error) {
	path, access, _ := strings.Cut(rest, " ")
	var a struct {
		User    string `json:"user"`
		Check   Check  `json:"check"`
		Open    bool   `json:"open"`
		NoToken bool   `json:"notoken"`
	}
	if err := json.Unmarshal([]byte(access), &a); err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	return &Endpoint{Method: method, Path: path, User: a.User, Check: a.Check, Open: a.Open, NoToken: a.NoToken}, nil
}
