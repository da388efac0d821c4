package rustdesk

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/proxstation/proxstation"
)

// ErrFile reports a text that is not an [OptionsFile].
var ErrFile = errors.New("rustdesk: options file")

// File returns the configuration as the [OptionsFile] of a guest in which
// RustDesk has not run yet, such as an image that is being built. It contains
// the server's key, but not the password. In a guest in which RustDesk runs,
// use [SetUp], because RustDesk would overwrite the file from its memory. The
// error comes from [Config.Validate].
//
// The file must be at every path of [OptionsFile.Paths]. On Linux and macOS, it
// must be in the homes of root, of every user who logs in, and of the login
// screen's user. The reason is that the service's [MainFile] has no key pair
// until RustDesk registers for the first time. Before that, the options of a
// user overwrite the service's options, even if the user has no file. After
// that, a user's RustDesk takes over the service's options (rustdesk 1.4.9
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

// ParseFile parses an [OptionsFile] and returns the configuration that RustDesk
// reads from it. It drops entries that are not options (nat type, serial,
// trusted devices).
//
// Like RustDesk, it returns no options if one of them is not text, or if
// "options" is not a table (hbb_common src/config.rs,
// deserialize_hashmap_string_string). If "socks" is not a table, RustDesk reads
// the file as empty, and so does ParseFile.
//
// RustDesk would also read a file as empty, and then overwrite it, if its text
// is not TOML. For such a text ParseFile returns [ErrFile]. The error names the
// line, but does not contain the line's text.
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
