package rustdesk

import (
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
)

// stopService makes RustDesk's service stop itself right after every start
// (src/platform/linux.rs, check_if_stop_service).
const stopService = "stop-service"

// defaults returns every option that has a field, and the one that no guest
// may have, with the value that RustDesk takes for "not set".
func defaults() map[string]string {
	return map[string]string{
		"custom-rendezvous-server": "", "relay-server": "", "api-server": "", "key": "",
		"approve-mode": "", "verification-method": "",
		"direct-server": "", "direct-access-port": "",
		"allow-remote-config-modification": "", "enable-lan-discovery": "",
		"allow-auto-update": "", "whitelist": "", stopService: "",
	}
}

// options returns all options to be set, "" for those to be cleared.
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

// fromOptions is the way back. It reads values as RustDesk does: what it does
// not know is the default.
func fromOptions(o map[string]string) (Config, error) {
	c := Config{
		Server: Server{ID: o["custom-rendezvous-server"], Relay: o["relay-server"], API: o["api-server"], Key: proxstation.NewSecret(o["key"])},
		Access: Access{
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
	var err error
	if c.Access.From, err = parseWhitelist(o["whitelist"]); err != nil {
		return Config{}, err
	}
	ours := defaults()
	for name, value := range o {
		if _, known := ours[name]; (!known || name == stopService && value == "Y") && value != "" {
			if c.Other == nil {
				c.Other = map[string]string{}
			}
			c.Other[name] = value
		}
	}
	return c, nil
}

// parseWhitelist parses addresses and networks between commas. An entry
// 0.0.0.0 lets everyone in (src/server/connection.rs, check_whitelist).
func parseWhitelist(text string) ([]netip.Prefix, error) {
	var prefixes []netip.Prefix
	for field := range strings.SplitSeq(text, ",") {
		if field == "" {
			continue
		}
		if field == "0.0.0.0" {
			return nil, nil
		}
		prefix, err := netip.ParsePrefix(field)
		if addr, addrErr := netip.ParseAddr(field); addrErr == nil && addr.Zone() == "" {
			prefix, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: whitelist: %q is no address and no network", ErrConfig, field)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
