package pvetest

import (
	"fmt"
	"strings"
)

// cloudInitKeys lists the keys whose values are part of the cloud-init image.
var cloudInitKeys = []string{"cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "name", "nameserver", "searchdomain", "sshkeys"}

// pendingCloudInit serves GET cloudinit. It lists the values in the current
// cloud-init image, and the values for the next image.
func (n *Node) pendingCloudInit(_ *call, v *vm) (any, error) {
	list := []map[string]any{}
	if v.cloudInitDrive() == "" {
		return list, nil
	}
	next := v.next()
	for _, key := range sorted(next) {
		if !isCloudInit(key) {
			continue
		}
		object := map[string]any{"key": key, "value": typed(key, next[key])}
		if value, waits := v.pending[key]; waits {
			object["pending"] = typed(key, value)
		}
		list = append(list, object)
	}
	return list, nil
}

func isCloudInit(key string) bool {
	for _, known := range cloudInitKeys {
		if key == known {
			return true
		}
	}
	return strings.HasPrefix(key, "ipconfig") || strings.HasPrefix(key, "net") && key != "nets"
}

// cloudInitDrive returns the key of the VM's cloud-init drive, or "" if there
// is no such drive.
func (v *vm) cloudInitDrive() string {
	for _, key := range sorted(v.config) {
		if isDrive(key) && parseDrive(v.config[key]).cloudinit() {
			return key
		}
	}
	return ""
}

// makeCloudInit serves PUT cloudinit. PVE makes a new image here. The embedded
// node has no image, so it does nothing.
func (n *Node) makeCloudInit(*call, *vm) (any, error) { return null() }

// dumpCloudInit serves GET cloudinit/dump. The user data is complete. The
// network configuration has no values (qemu-server
// PVE/QemuServer/Cloudinit.pm).
func (n *Node) dumpCloudInit(c *call, v *vm) (any, error) {
	switch c.get("type") {
	case "meta":
		return fmt.Sprintf("instance-id: %s\n", v.digest()), nil
	case "network":
		return "version: 1\nconfig:\n    - type: nameserver\n      address:\n      search:\n", nil
	}
	host, _, _ := strings.Cut(v.name(), ".")
	var out strings.Builder
	fmt.Fprintf(&out, "#cloud-config\nhostname: %s\nmanage_etc_hosts: true\nfqdn: %s\n", host, v.name())
	if user := v.config["ciuser"]; user != "" {
		fmt.Fprintf(&out, "user: %s\n", user)
	}
	if v.config["cipassword"] != "" {
		out.WriteString("password: **********\n")
	}
	if keys := v.config["sshkeys"]; keys != "" {
		out.WriteString("ssh_authorized_keys:\n")
		for line := range strings.Lines(unescape(keys)) {
			if line = strings.TrimSpace(line); line != "" {
				fmt.Fprintf(&out, "  - %s\n", line)
			}
		}
	}
	out.WriteString("chpasswd:\n  expire: False\nusers:\n  - default\n")
	if v.config["ciupgrade"] != "0" {
		out.WriteString("package_upgrade: true\n")
	}
	return out.String(), nil
}
