package rustdesk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/proxstation/proxstation"
)

// ErrFile reports text that is not an [OptionsFile].
var ErrFile = errors.New("rustdesk: options file")

// File returns the configuration as the [OptionsFile] of a guest on which
// RustDesk has not yet run, such as an image being built. It contains the
// server's key, not the password. In a guest where RustDesk runs, RustDesk
// would overwrite the file from its memory: use [SetUp]. The error is that of
// [Config.Validate].
//
// The file has to lie at every path that [OptionsFile.Paths] returns: on Linux
// and macOS in root's home and in the home of every user who logs in, and in
// that of the login screen's user. A user's RustDesk takes the service's options
// only if the service's [MainFile] has a key pair, which it does not have before
// RustDesk's first registration; otherwise the user's own options, which are
// empty without a file, overwrite those of the service (rustdesk 1.4.9
// src/server.rs:767 and 806 to 829; hbb_common src/config.rs:744).
func (c Config) File() (proxstation.Secret, error) {
	if err := c.Validate(); err != nil {
		return proxstation.Secret{}, err
	}
	options := c.options()
	for name, value := range options {
		if value == "" {
			delete(options, name)
		}
	}
	text, err := toml.Marshal(map[string]map[string]string{"options": options})
	if err != nil {
		return proxstation.Secret{}, fmt.Errorf("%w: %w", ErrFile, err)
	}
	return proxstation.NewSecret(string(text)), nil
}

// ParseFile parses an [OptionsFile] and returns what RustDesk reads from it.
// What the file says besides options (nat type, serial, trusted devices) is not
// kept.
//
// RustDesk drops all options if one of them is not text, or if "options" is not
// a table (hbb_common src/config.rs, deserialize_hashmap_string_string). It
// reads the file as empty if "socks" is not a table, or if the text is not TOML;
// ParseFile returns [ErrFile] for text that is not TOML, because RustDesk would
// overwrite such a file. The error names the line, not what the line holds.
func ParseFile(text string) (Config, error) {
	var file map[string]any
	if err := toml.Unmarshal([]byte(strings.TrimPrefix(text, "\ufeff")), &file); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, _ := at.Position()
			return Config{}, fmt.Errorf("%w: line %d: not TOML", ErrFile, line)
		}
		return Config{}, fmt.Errorf("%w: not TOML", ErrFile)
	}
	options := map[string]string{}
	table, _ := file["options"].(map[string]any)
	for name, value := range table {
		text, ok := value.(string)
		if !ok {
			clear(options)
			break
		}
		options[name] = text
	}
	if socks, there := file["socks"]; there {
		if _, ok := socks.(map[string]any); !ok {
			clear(options)
		}
	}
	return fromOptions(options), nil
}
