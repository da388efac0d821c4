package pveschema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// ErrUnknownKey reports a key that does not exist in the configuration of a VM.
var ErrUnknownKey = errors.New("unknown option")

// CheckConfig returns the error with which PVE refuses a value for a key of a
// VM's configuration, in PVE's words. It returns nil if PVE accepts the value.
// The rules are from PVE 9.2. If the key does not exist, the error matches
// [ErrUnknownKey]. CheckConfig ignores the caller's privileges and the other
// keys. It does not check facts that only the node knows: whether a storage, a
// bridge, a mapping or a custom CPU model exists.
func CheckConfig(key, value string) error {
	p := Key(key)
	if p == nil {
		return fmt.Errorf("%w '%s'", ErrUnknownKey, key)
	}
	if err := checkFormat(Version{}, p.Format, key, value); errors.Is(err, errCustomModel) {
		return nil
	}
	if problem := p.verify(Version{}, key, value); problem != "" {
		return errors.New(strings.TrimSpace(problem))
	}
	for _, check := range []func(key, value string) error{CheckDrive, CheckMachine, CheckDisplay, CheckStored} {
		if err := check(key, value); err != nil {
			return err
		}
	}
	return nil
}

// Key returns the description of a key of a VM's configuration, or nil if the
// key does not exist.
func Key(name string) *Param {
	if steering[name] {
		return nil
	}
	return find(configKeys(), name)
}

var configKeys = sync.OnceValue(func() []Param {
	endpoint, _, _ := Lookup("POST", "/nodes/pve/qemu/100/config")
	return endpoint.Params
})

// steering holds parameters that control a change and are not keys of the
// configuration.
var steering = map[string]bool{
	"node": true, "vmid": true, "digest": true, "delete": true, "revert": true, "skiplock": true, "force": true,
	"background_delay": true, "import-working-storage": true,
}

// CheckStored returns the error with which PVE refuses to write a value into
// the configuration file. The file allows fewer values than a request
// (check_type of qemu-server PVE/QemuServer.pm). PVE accepts every value of a
// key without a type.
func CheckStored(key, value string) error {
	p := Key(key)
	problem := ""
	switch {
	case p == nil || key == "description":
		return nil
	case strings.ContainsAny(value, "\r\n"):
		problem = "property contains a line feed"
	case p.Kind == Integer && !storedInteger.MatchString(value), p.Kind == Number && !storedNumber.MatchString(value):
		problem = fmt.Sprintf("type check ('%s') failed - got '%s'", p.Kind, value)
	}
	if problem == "" {
		return nil
	}
	return fmt.Errorf("unable to parse value of '%s' - %s", key, problem)
}

var (
	storedInteger = regexp.MustCompile(`^\d+$`)
	storedNumber  = regexp.MustCompile(`^\d+(\.\d+)?$`)
)

// CheckMachine returns the error with which PVE refuses a machine's vIOMMU
// (assert_valid_machine_property of qemu-server PVE/QemuServer/Machine.pm).
func CheckMachine(key, value string) error {
	if key != "machine" {
		return nil
	}
	keys, err := ParseProperties("@machine", value)
	if err != nil {
		return err
	}
	bits, _ := strconv.ParseFloat(keys["aw-bits"], 64)
	switch {
	case keys["viommu"] == "intel" && !strings.Contains(keys["type"], "q35"):
		return errors.New("to use Intel vIOMMU please set the machine type to q35")
	case keys["viommu"] == "intel" && bits != 0 && bits != 39 && bits != 48:
		return errors.New("Intel vIOMMU supports only 39 or 48 bits as address width") //nolint:staticcheck // PVE's words
	case bits != 0 && keys["viommu"] == "":
		return errors.New("cannot set aw-bits if no vIOMMU is configured")
	}
	return nil
}

var clipboardDisplay = regexp.MustCompile(`^(std|cirrus|vmware|virtio|qxl)`)

// CheckDisplay returns the error with which PVE refuses a display with a
// clipboard (assert_clipboard_config of qemu-server PVE/QemuServer.pm).
func CheckDisplay(key, value string) error {
	if key != "vga" {
		return nil
	}
	keys, err := ParseProperties("@vga", value)
	if err != nil {
		return err
	}
	if kind := keys["type"]; keys["clipboard"] == "vnc" && kind != "" && !clipboardDisplay.MatchString(kind) {
		return fmt.Errorf("vga type %s is not compatible with VNC clipboard", kind)
	}
	return nil
}

// ParseDrive parses the value of a drive. It does not check the geometry
// options, which drives had until PVE 9.0. Newer versions refuse a request with
// these options before they parse the drive.
func ParseDrive(key, value string) (map[string]string, error) {
	var fields []string
	old := map[string]string{}
	for field := range strings.SplitSeq(value, ",") {
		name, text, _ := strings.Cut(field, "=")
		if p := find(loaded().formats[Key(key).Format].Keys, name); p != nil && p.Until != (Version{}) {
			old[name] = text
			continue
		}
		fields = append(fields, field)
	}
	keys, err := ParseProperties(Key(key).Format, strings.Join(fields, ","))
	if err != nil {
		return nil, err
	}
	maps.Copy(keys, old)
	return keys, nil
}

// The variable limits gives, for an option of a drive, the option that it
// requires (parse_drive of qemu-server PVE/QemuServer/Drive.pm).
var limits = map[string]string{
	"mbps_max": "mbps", "mbps_rd_max": "mbps_rd", "mbps_wr_max": "mbps_wr",
	"bps_max_length": "mbps_max", "bps_rd_max_length": "mbps_rd_max", "bps_wr_max_length": "mbps_wr_max",
	"iops_max_length": "iops_max", "iops_rd_max_length": "iops_rd_max", "iops_wr_max_length": "iops_wr_max",
}

// CheckDrive returns the error with which PVE refuses a drive because its
// options contradict each other (parse_drive of qemu-server
// PVE/QemuServer/Drive.pm) or because of its import.
func CheckDrive(key, value string) error {
	if !IsDrive(key) {
		return nil
	}
	keys, err := ParseDrive(key, value)
	bad := err != nil
	set := func(name string) bool { return keys[name] != "" && keys[name] != "0" }
	for _, name := range []string{"bps", "bps_rd", "bps_wr"} {
		if _, there := keys[name]; there {
			_, twice := keys["m"+name]
			bad = bad || twice
			keys["m"+name] = "1"
		}
	}
	for option, needs := range limits {
		bad = bad || set(option) && !set(needs)
	}
	for _, kind := range []string{"mbps", "iops"} {
		bad = bad || set(kind) && (set(kind+"_rd") || set(kind+"_wr"))
	}
	if keys["media"] == "cdrom" {
		bad = bad || set("snapshot") || set("format") || strings.HasPrefix(key, "virtio")
	}
	if bad {
		return errors.New("unable to parse drive options")
	}
	return checkSource(key, keys)
}

// checkSource checks from which source a drive gets its content
// ($check_drive_param of qemu-server PVE/API2/Qemu.pm).
func checkSource(key string, keys map[string]string) error {
	_, efitype := keys["efitype"]
	_, enrolled := keys["pre-enrolled-keys"]
	_, version := keys["version"]
	source, imports := keys["import-from"]
	_, name, _ := strings.Cut(keys["file"], ":")
	switch {
	case imports && source != "" && !emptyDisk.MatchString(keys["file"]):
		return errors.New("'import-from' requires special syntax - use <storage ID>:0,import-from=<source>")
	case imports && key == "efidisk0" && !efitype:
		return errors.New("need to specify 'efitype' when using 'import-from'")
	case imports && key == "efidisk0" && !enrolled:
		return errors.New("need to specify 'pre-enrolled-keys' when using 'import-from'")
	case imports && key == "tpmstate0" && !version:
		return errors.New("need to specify 'version' when using 'import-from'")
	case strings.HasPrefix(name, "iso/") && keys["media"] != "cdrom":
		return errors.New("explicit 'media=cdrom' is required for iso images")
	}
	return nil
}

var emptyDisk = regexp.MustCompile(`^([^/:\s]+:)?0+(\.0+)?$`)

var driveName = regexp.MustCompile(`^(` + drives + `|efidisk0|tpmstate0)$`)

// IsDrive reports whether a key of a configuration is a drive. An unused volume
// ("unused0") is not a drive, because it is attached to nothing.
func IsDrive(key string) bool { return driveName.MatchString(key) }
