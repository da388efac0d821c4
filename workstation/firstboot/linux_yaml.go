package firstboot

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// userData returns the user-data without its first line. cloud-init makes only
// the user, and enables the unit of the script. All other work is done by the
// script. The unit starts the script at each boot until this work is complete.
func (g LinuxAI) userData() (string, error) {
	script, err := g.script("")
	if err != nil {
		return "", err
	}
	user := map[string]any{"name": g.User, "gecos": g.User, "shell": "/bin/bash", "groups": "sudo",
		"lock_passwd": true, "sudo": "ALL=(ALL) NOPASSWD:ALL"}
	if len(g.Keys) > 0 { // cloud-init's schema refuses an empty list
		user["ssh_authorized_keys"] = g.Keys
	}
	if !g.Password.IsZero() {
		hash, err := g.hashed()
		if err != nil {
			return "", err
		}
		user["lock_passwd"], user["passwd"], user["sudo"] = false, hash, "ALL=(ALL) ALL"
	}
	data := map[string]any{
		// sudo looks up the host's name, so the name must be in /etc/hosts.
		// With "localhost", cloud-init adds the name and keeps the other lines
		// of the file. With true, as in PVE's own user-data, cloud-init would
		// replace the file (cloud-init, module update_etc_hosts).
		"hostname": g.HostName, "manage_etc_hosts": "localhost", "users": []any{user},
		"ssh_pwauth": len(g.Keys) == 0, "disable_root": true,
		"write_files": []any{
			written(linuxScript, "0755", script),
			written("/etc/systemd/system/"+linuxUnit, "0644", unitText),
		},
		"runcmd": [][]string{{"systemctl", "enable", "--now", "--no-block", linuxUnit}},
	}
	if g.Driver != nil {
		data["write_files"] = append(data["write_files"].([]any), written(driverKey, "0644", strings.TrimSpace(g.Driver.Key)+"\n"))
	}
	g.localize(data)
	return asYAML(data), nil
}

func (g LinuxAI) localize(data map[string]any) {
	files, commands := data["write_files"].([]any), data["runcmd"].([][]string)
	if g.Language != "" {
		data["locale"] = g.Language
	}
	if name, charset, _ := strings.Cut(g.Language, "."); g.Language != "" && name != "C" {
		// Debian's locale-gen makes only the locales that the file
		// /etc/locale.gen lists. cloud-init does not write this file. It passes
		// the locale as an argument, which only Ubuntu's locale-gen understands
		// (cloud-init issue 4195).
		line := written("/etc/locale.gen", "0644", g.Language+" "+charset+"\n")
		line["append"] = true
		files = append(files, line)
	}
	if g.Keyboard != "" {
		// The seed has the file of keyboard(5), because cloud-init's own module
		// cannot be used. The module fails without the package console-setup.
		// On Debian 12 it also fails with this package (cloud-init 22.4,
		// cloudinit/distros/debian.py, set_keymap; Debian bug 1038762).
		files = append(files, written("/etc/default/keyboard", "0644", "XKBMODEL=\"pc105\"\nXKBLAYOUT=\""+g.Keyboard+"\"\nXKBVARIANT=\"\"\nXKBOPTIONS=\"\"\nBACKSPACE=\"guess\"\n"))
		commands = slices.Insert(commands, 0, []string{"sh", "-c", "! systemctl -q is-active console-setup || systemctl restart console-setup"})
	}
	if g.TimeZone != "" {
		data["timezone"] = g.TimeZone
	}
	data["write_files"], data["runcmd"] = files, commands
}

func written(path, mode, content string) map[string]any {
	return map[string]any{"path": path, "permissions": mode, "owner": "root:root", "content": content}
}

// Returns the network-config in version 2. It returns nil if no MAC is set.
// cloud-init then uses DHCP on the first card.
func (n Network) config() map[string]any {
	if n.MAC == nil {
		return nil
	}
	card := map[string]any{"match": map[string]any{"macaddress": n.MAC.String()}, "set-name": "eth0"}
	if !n.Address.IsValid() {
		card["dhcp4"] = true
	} else {
		card["addresses"] = []string{n.Address.String()}
		if n.Gateway.IsValid() {
			to := "0.0.0.0/0"
			if n.Gateway.Is6() {
				to = "::/0"
			}
			card["routes"] = []any{map[string]any{"to": to, "via": n.Gateway.String()}}
		}
		if len(n.DNS) > 0 {
			card["nameservers"] = map[string]any{"addresses": n.DNS}
		}
	}
	return map[string]any{"version": 2, "ethernets": map[string]any{"eth0": card}}
}

// asYAML returns a value as JSON, which YAML parsers can read (YAML 1.2 section
// 1.3). It escapes the characters of JSON that YAML forbids (section 5.1).
func asYAML(value any) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		panic(err) // impossible, because all callers pass only maps, lists, strings, bools and addresses
	}
	var out strings.Builder
	for _, r := range b.String() {
		if r >= 0x7f && r <= 0x9f || r == 0xFEFF || r == 0xFFFE || r == 0xFFFF {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}
