package rustdesk

import (
	"maps"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// stopService is the option that makes RustDesk's service stop itself after
// every start (src/platform/linux.rs, check_if_stop_service).
const stopService = "stop-service"

// The function "defaults" returns the default value of every option that has a
// field in Config. It also returns stop-service, because no guest may have this
// option. RustDesk reads the value "" as "not set".
func defaults() map[string]string {
	return map[string]string{
		"custom-rendezvous-server": "", "relay-server": "", "api-server": "", "key": "",
		"approve-mode": "", "verification-method": "",
		"direct-server": "", "direct-access-port": "",
		"allow-remote-config-modification": "", "enable-lan-discovery": "",
		"allow-auto-update": "", "whitelist": "", stopService: "",
	}
}

// The method "options" returns all options to set. An option whose value is ""
// has to be cleared.
func (c Config) options() map[string]string {
	o := defaults()
	maps.Copy(o, c.Other)
	o["custom-rendezvous-server"], o["relay-server"] = c.Server.ID, c.Server.Relay
	o["api-server"], o["key"] = c.Server.API, c.Server.Key.Reveal()
	o["approve-mode"], o["verification-method"] = string(c.Access.Approve), string(c.Access.Verify)
	if c.Access.DirectPort != 0 {
		o["direct-server"] = "Y"
		if c.Access.DirectPort != DefaultDirectPort {
			o["direct-access-port"] = strconv.Itoa(int(c.Access.DirectPort))
		}
	}
	for name, on := range map[string]bool{
		"allow-remote-config-modification": c.Access.RemoteConfig,
		"allow-auto-update":                c.Access.AutoUpdate,
	} {
		if on {
			o[name] = "Y"
		}
	}
	if c.Access.HideFromLAN {
		o["enable-lan-discovery"] = "N"
	}
	var from []string
	for _, prefix := range c.Access.From {
		from = append(from, prefix.String())
	}
	o["whitelist"] = strings.Join(from, ",")
	return o
}

// fromOptions returns the configuration that has these options. Like RustDesk,
// it reads an unknown value as the default.
func fromOptions(o map[string]string) Config {
	c := Config{
		Server: Server{ID: o["custom-rendezvous-server"], Relay: o["relay-server"], API: o["api-server"], Key: proxstation.NewSecret(o["key"])},
		Access: Access{
			From:         parseWhitelist(o["whitelist"]),
			RemoteConfig: o["allow-remote-config-modification"] == "Y",
			HideFromLAN:  o["enable-lan-discovery"] == "N",
			AutoUpdate:   o["allow-auto-update"] == "Y",
		},
	}
	switch mode := ApproveMode(o["approve-mode"]); mode {
	case ApprovePassword, ApproveClick:
		c.Access.Approve = mode
	}
	switch method := VerificationMethod(o["verification-method"]); method {
	case VerifyTemporary, VerifyPermanent:
		c.Access.Verify = method
	}
	if o["direct-server"] == "Y" {
		c.Access.DirectPort = DefaultDirectPort
		if port, err := strconv.ParseUint(o["direct-access-port"], 10, 16); err == nil && port > 0 {
			c.Access.DirectPort = uint16(port)
		}
	}
	ours := defaults()
	c.read = map[string]string{}
	for name, value := range o {
		if name != "key" {
			c.read[name] = value
		}
		if _, known := ours[name]; (!known || name == stopService && value == "Y") && value != "" {
			if c.Other == nil {
				c.Other = map[string]string{}
			}
			c.Other[name] = value
		}
	}
	return c
}

// The method "found" returns the options of a guest. If the configuration was
// read from a guest, the options have the same texts as in the guest, because a
// script compares these texts.
func (c Config) found() map[string]string {
	if c.read == nil {
		return c.options()
	}
	o := maps.Clone(c.read)
	o["key"] = c.Server.Key.Reveal()
	return o
}
