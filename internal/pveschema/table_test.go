package pveschema

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write table.txt from PVE's API description")

// description is the path of PVE's official API description. The file is not
// part of the project. It is expected beside the checkout, where CI has it.
const description = "../../../shared/pve/apidoc.json"

// The constant served lists the endpoints whose parameters the table has. For
// all other endpoints the table has only the method and the path.
const served = `
GET /version
POST /access/ticket
GET /access/permissions
GET /nodes
GET /nodes/{node}/status
GET /nodes/{node}/version
GET /nodes/{node}/time
GET /nodes/{node}/network
GET /nodes/{node}/lxc
GET /nodes/{node}/lxc/{vmid}/config
GET /nodes/{node}/hardware/pci
GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}
GET /nodes/{node}/hardware/pci/{pci-id-or-mapping}/mdev
GET /nodes/{node}/hardware/usb
GET /nodes/{node}/capabilities/qemu/cpu
GET /nodes/{node}/capabilities/qemu/machines
GET /storage
GET /storage/{storage}
GET /nodes/{node}/storage
GET /nodes/{node}/storage/{storage}/status
GET /nodes/{node}/storage/{storage}/content
POST /nodes/{node}/storage/{storage}/content
GET /nodes/{node}/storage/{storage}/content/{volume}
DELETE /nodes/{node}/storage/{storage}/content/{volume}
POST /nodes/{node}/storage/{storage}/upload
POST /nodes/{node}/storage/{storage}/download-url
GET /nodes/{node}/disks/list
GET /nodes/{node}/disks/smart
GET /nodes/{node}/disks/lvm
GET /nodes/{node}/disks/lvmthin
GET /nodes/{node}/disks/zfs
GET /nodes/{node}/disks/zfs/{name}
GET /nodes/{node}/disks/directory
GET /nodes/{node}/qemu
POST /nodes/{node}/qemu
DELETE /nodes/{node}/qemu/{vmid}
GET /nodes/{node}/qemu/{vmid}/config
PUT /nodes/{node}/qemu/{vmid}/config
POST /nodes/{node}/qemu/{vmid}/config
GET /nodes/{node}/qemu/{vmid}/pending
PUT /nodes/{node}/qemu/{vmid}/resize
POST /nodes/{node}/qemu/{vmid}/move_disk
PUT /nodes/{node}/qemu/{vmid}/unlink
GET /nodes/{node}/qemu/{vmid}/status/current
POST /nodes/{node}/qemu/{vmid}/status/start
POST /nodes/{node}/qemu/{vmid}/status/stop
POST /nodes/{node}/qemu/{vmid}/status/shutdown
POST /nodes/{node}/qemu/{vmid}/status/reboot
POST /nodes/{node}/qemu/{vmid}/status/reset
POST /nodes/{node}/qemu/{vmid}/status/suspend
POST /nodes/{node}/qemu/{vmid}/status/resume
GET /nodes/{node}/qemu/{vmid}/snapshot
POST /nodes/{node}/qemu/{vmid}/snapshot
DELETE /nodes/{node}/qemu/{vmid}/snapshot/{snapname}
POST /nodes/{node}/qemu/{vmid}/agent/ping
GET /nodes/{node}/qemu/{vmid}/agent/info
GET /nodes/{node}/qemu/{vmid}/agent/get-osinfo
GET /nodes/{node}/qemu/{vmid}/agent/get-host-name
GET /nodes/{node}/qemu/{vmid}/agent/network-get-interfaces
POST /nodes/{node}/qemu/{vmid}/agent/exec
GET /nodes/{node}/qemu/{vmid}/agent/exec-status
GET /nodes/{node}/qemu/{vmid}/agent/file-read
POST /nodes/{node}/qemu/{vmid}/agent/file-write
GET /nodes/{node}/tasks
GET /nodes/{node}/tasks/{upid}/status
GET /nodes/{node}/tasks/{upid}/log
DELETE /nodes/{node}/tasks/{upid}
GET /cluster/mapping/pci
POST /cluster/mapping/pci
GET /cluster/mapping/pci/{id}
PUT /cluster/mapping/pci/{id}
DELETE /cluster/mapping/pci/{id}
GET /cluster/nextid
GET /cluster/resources
GET /cluster/status
GET /cluster/tasks
GET /cluster/ha/resources
GET /cluster/backup
GET /access
GET /access/ticket
PUT /access/password
GET /access/acl
PUT /access/acl
GET /access/domains
GET /access/domains/{realm}
GET /access/groups
POST /access/groups
GET /access/groups/{groupid}
PUT /access/groups/{groupid}
DELETE /access/groups/{groupid}
GET /access/roles
POST /access/roles
GET /access/roles/{roleid}
PUT /access/roles/{roleid}
DELETE /access/roles/{roleid}
GET /access/tfa
GET /access/users
POST /access/users
GET /access/users/{userid}
PUT /access/users/{userid}
DELETE /access/users/{userid}
GET /access/users/{userid}/token
GET /access/users/{userid}/token/{tokenid}
POST /access/users/{userid}/token/{tokenid}
PUT /access/users/{userid}/token/{tokenid}
DELETE /access/users/{userid}/token/{tokenid}
GET /pools
POST /pools
PUT /pools
DELETE /pools
GET /pools/{poolid}
PUT /pools/{poolid}
DELETE /pools/{poolid}
GET /cluster
GET /cluster/backup-info
GET /cluster/backup-info/not-backed-up
POST /cluster/backup
GET /cluster/backup/{id}
PUT /cluster/backup/{id}
DELETE /cluster/backup/{id}
GET /cluster/config
GET /cluster/config/nodes
GET /cluster/firewall
GET /cluster/firewall/options
GET /cluster/ha
GET /cluster/ha/groups
POST /cluster/ha/groups
GET /cluster/ha/groups/{group}
PUT /cluster/ha/groups/{group}
DELETE /cluster/ha/groups/{group}
POST /cluster/ha/resources
GET /cluster/ha/resources/{sid}
PUT /cluster/ha/resources/{sid}
DELETE /cluster/ha/resources/{sid}
POST /cluster/ha/resources/{sid}/migrate
POST /cluster/ha/resources/{sid}/relocate
GET /cluster/ha/rules
POST /cluster/ha/rules
GET /cluster/ha/rules/{rule}
PUT /cluster/ha/rules/{rule}
DELETE /cluster/ha/rules/{rule}
GET /cluster/ha/status
GET /cluster/ha/status/current
GET /cluster/ha/status/manager_status
GET /cluster/log
GET /cluster/mapping
GET /cluster/mapping/dir
GET /cluster/mapping/usb
GET /cluster/options
PUT /cluster/options
GET /cluster/replication
POST /cluster/replication
GET /cluster/replication/{id}
PUT /cluster/replication/{id}
DELETE /cluster/replication/{id}
GET /cluster/sdn
GET /cluster/sdn/vnets
GET /cluster/sdn/zones
GET /nodes/{node}
GET /nodes/{node}/aplinfo
GET /nodes/{node}/apt
GET /nodes/{node}/apt/update
GET /nodes/{node}/apt/versions
GET /nodes/{node}/capabilities
GET /nodes/{node}/capabilities/qemu
GET /nodes/{node}/certificates
GET /nodes/{node}/certificates/info
GET /nodes/{node}/config
GET /nodes/{node}/disks
GET /nodes/{node}/dns
GET /nodes/{node}/firewall
GET /nodes/{node}/firewall/options
GET /nodes/{node}/hardware
GET /nodes/{node}/hosts
GET /nodes/{node}/network/{iface}
GET /nodes/{node}/query-url-metadata
GET /nodes/{node}/replication
GET /nodes/{node}/replication/{id}/status
POST /nodes/{node}/replication/{id}/schedule_now
GET /nodes/{node}/rrddata
GET /nodes/{node}/services
GET /nodes/{node}/syslog
GET /nodes/{node}/scan
GET /nodes/{node}/capabilities/qemu/cpu-flags
GET /nodes/{node}/subscription
GET /nodes/{node}/tasks/{upid}
POST /nodes/{node}/vzdump
GET /nodes/{node}/vzdump/defaults
GET /nodes/{node}/storage/{storage}
GET /nodes/{node}/storage/{storage}/rrddata
POST /storage
PUT /storage/{storage}
DELETE /storage/{storage}
GET /nodes/{node}/qemu/{vmid}
GET /nodes/{node}/qemu/{vmid}/agent
POST /nodes/{node}/qemu/{vmid}/agent
GET /nodes/{node}/qemu/{vmid}/agent/get-fsinfo
GET /nodes/{node}/qemu/{vmid}/agent/get-memory-block-info
GET /nodes/{node}/qemu/{vmid}/agent/get-memory-blocks
GET /nodes/{node}/qemu/{vmid}/agent/get-time
GET /nodes/{node}/qemu/{vmid}/agent/get-timezone
GET /nodes/{node}/qemu/{vmid}/agent/get-users
GET /nodes/{node}/qemu/{vmid}/agent/get-vcpus
POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-freeze
POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-status
POST /nodes/{node}/qemu/{vmid}/agent/fsfreeze-thaw
POST /nodes/{node}/qemu/{vmid}/agent/fstrim
POST /nodes/{node}/qemu/{vmid}/agent/set-user-password
POST /nodes/{node}/qemu/{vmid}/agent/shutdown
GET /nodes/{node}/qemu/{vmid}/cloudinit
PUT /nodes/{node}/qemu/{vmid}/cloudinit
GET /nodes/{node}/qemu/{vmid}/cloudinit/dump
POST /nodes/{node}/qemu/{vmid}/clone
GET /nodes/{node}/qemu/{vmid}/feature
GET /nodes/{node}/qemu/{vmid}/firewall
GET /nodes/{node}/qemu/{vmid}/firewall/options
GET /nodes/{node}/qemu/{vmid}/migrate
POST /nodes/{node}/qemu/{vmid}/migrate
POST /nodes/{node}/qemu/{vmid}/monitor
GET /nodes/{node}/qemu/{vmid}/rrddata
PUT /nodes/{node}/qemu/{vmid}/sendkey
GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}
GET /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config
PUT /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/config
POST /nodes/{node}/qemu/{vmid}/snapshot/{snapname}/rollback
GET /nodes/{node}/qemu/{vmid}/status
POST /nodes/{node}/qemu/{vmid}/template
POST /nodes/{node}/qemu/{vmid}/termproxy
POST /nodes/{node}/qemu/{vmid}/vncproxy
`

// The constant hand describes the formats for which the API description has
// only a name, each with its source. For some parameters, the description shows
// the keys of such a format in the field typetext. A test compares these keys
// with the keys in hand.
const hand = `
# qemu-server PVE/QemuServer/PCI.pm, $hostpci_fmt
format pve-qm-hostpci
 host string optional default pattern=(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?(;(?:[a-f0-9]{4,}:)?[a-f0-9]{2}:[a-f0-9]{2}(?:\.[a-f0-9])?)*
 mapping string optional format=pve-configid
 rombar boolean optional
 romfile string optional pattern=[^,;]+
 pcie boolean optional
 x-vga boolean optional
 legacy-igd boolean optional
 mdev string optional pattern=[^/\.:]+
 vendor-id string optional pattern=^0x[0-9a-fA-F]{4}$
 device-id string optional pattern=^0x[0-9a-fA-F]{4}$
 sub-vendor-id string optional pattern=^0x[0-9a-fA-F]{4}$
 sub-device-id string optional pattern=^0x[0-9a-fA-F]{4}$
 driver string optional enum=vfio|keep since=9.1

# qemu-server PVE/QemuServer/Network.pm, $ipconfig_fmt
format pve-qm-ipconfig
 ip string optional format=pve-ipv4-config
 gw string optional format=ipv4 requires=ip
 ip6 string optional format=pve-ipv6-config
 gw6 string optional format=ipv6 requires=ip6

# qemu-server PVE/QemuServer.pm, $cicustom_fmt
format pve-qm-cicustom
 meta string optional format=pve-volume-id
 network string optional format=pve-volume-id
 user string optional format=pve-volume-id
 vendor string optional format=pve-volume-id

# qemu-server PVE/QemuServer.pm, $boot_fmt
format pve-qm-boot
 legacy string optional default pattern=[acdn]{1,4}
 order string optional format=pve-qm-bootdev-list

# qemu-server PVE/QemuServer.pm, $smbios1_fmt
format pve-qm-smbios1
 base64 boolean optional
 family string optional pattern=[A-Za-z0-9+\/]+={0,2}
 manufacturer string optional pattern=[A-Za-z0-9+\/]+={0,2}
 product string optional pattern=[A-Za-z0-9+\/]+={0,2}
 serial string optional pattern=[A-Za-z0-9+\/]+={0,2}
 sku string optional pattern=[A-Za-z0-9+\/]+={0,2}
 uuid string optional pattern=[a-fA-F0-9]{8}(?:-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}
 version string optional pattern=[A-Za-z0-9+\/]+={0,2}

# qemu-server PVE/QemuServer.pm, $watchdog_fmt
format pve-qm-watchdog
 action string optional enum=reset|shutdown|poweroff|pause|debug|none
 model string optional default enum=i6300esb|ib700

# qemu-server PVE/QemuServer/RNG.pm, $rng_fmt
format pve-qm-rng
 max_bytes integer optional
 period integer optional
 source string default enum=/dev/urandom|/dev/random|/dev/hwrng

# qemu-server PVE/QemuServer/CPUConfig.pm, $cpu_fmt; what a VM may say of it is in cpu.go
format pve-vm-cpu-conf
 cputype string optional default
 flags string optional pattern=([+-])([a-zA-Z0-9\-_\.]+)(;([+-])([a-zA-Z0-9\-_\.]+))*
 guest-phys-bits integer optional min=32 max=64 since=9.0
 hidden boolean optional
 hv-vendor-id string optional pattern=[a-zA-Z0-9]{1,12}
 level integer optional min=0 max=4294967295 since=9.2
 phys-bits string optional format=pve-phys-bits
 reported-model string optional enum=@reported-models

# qemu-server PVE/QemuServer/CPUConfig.pm, $sev_fmt
format pve-qemu-sev-fmt
 allow-smt boolean optional
 kernel-hashes boolean optional
 no-debug boolean optional
 no-key-sharing boolean optional
 type string default enum=std|es|snp maxlength=3

# qemu-server PVE/QemuServer/CPUConfig.pm, $tdx_fmt
format pve-qemu-tdx-fmt
 attestation boolean
 type string default enum=tdx
 vsock-cid integer optional min=2
 vsock-port integer optional min=0

`

// geometry holds the options for cylinders, heads and sectors that drives had
// until PVE 9.0 (PVE/QemuServer/Drive.pm of qemu-server 8.3.12,
// %drivedesc_base).
var geometry = []string{"cyls integer optional until=9.0", "heads integer optional until=9.0", "secs integer optional until=9.0", "trans string enum=none|lba|auto optional until=9.0"}

// The variable newer holds lines for parameters and keys that are missing in
// the description of PVE 9.1, but exist in qemu-server 9.2.6 or 8.3.12. The
// keys of the map are names of parameters or formats. If the description has a
// line with the same name, the line here replaces it.
var newer = map[string][]string{
	"serial[n]":  {"serial[n] string optional pattern=(/dev/[^,]+|socket)"}, // Source: PVE/QemuServer.pm, $serialdesc
	"@net[n]":    {"host-tunnel boolean optional since=9.2"},                // Source: PVE/QemuServer/Network.pm, $net_fmt
	"@ide[n]":    geometry,
	"@sata[n]":   geometry,
	"@scsi[n]":   geometry,
	"@virtio[n]": geometry,
}

// The variable since says which release of PVE was the first with a parameter.
// It holds only the parameters that PVE 8.4 lacks. A key of the map names a
// parameter, or a format and a key of this format. The sources are
// debian/changelog and git log of qemu-server.
var since = map[string]string{
	"allow-ksm":         "9.1", // qemu-server 9.0.27
	"intel-tdx":         "9.1", // qemu-server 9.0.25
	"@efidisk0 ms-cert": "9.1", // qemu-server 9.0.27
	"@machine aw-bits":  "9.0", // qemu-server 9.0.21
	"failback":          "9.0", // pve-ha-manager 5.0.1
}

type apiParam struct {
	Type      any              `json:"type"`
	Optional  any              `json:"optional"`
	Enum      []string         `json:"enum"`
	Minimum   *json.Number     `json:"minimum"`
	Maximum   *json.Number     `json:"maximum"`
	MinLength *json.Number     `json:"minLength"`
	MaxLength *json.Number     `json:"maxLength"`
	Pattern   string           `json:"pattern"`
	Format    json.RawMessage  `json:"format"`
	Default   any              `json:"default_key"`
	KeyAlias  string           `json:"keyAlias"`
	Alias     string           `json:"alias"`
	Items     *json.RawMessage `json:"items"`
	TypeText  string           `json:"typetext"`
	Requires  any              `json:"requires"`
}

type apiEndpoint struct {
	AllowToken  any             `json:"allowtoken"`
	Permissions json.RawMessage `json:"permissions"`
	Parameters  struct {
		Additional any                 `json:"additionalProperties"`
		Properties map[string]apiParam `json:"properties"`
	} `json:"parameters"`
}

func readDescription(t *testing.T) map[string]apiEndpoint {
	t.Helper()
	data, err := os.ReadFile(description)
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have PVE's API description: %v", err)
		}
		t.Skipf("PVE's API description is not beside this checkout: %v", err)
	}
	var api map[string]apiEndpoint
	if err := json.Unmarshal(data, &api); err != nil {
		t.Fatal(err)
	}
	return api
}

// TestTable compares the table with PVE's description, byte by byte.
func TestTable(t *testing.T) {
	t.Parallel()
	want := write(t, readDescription(t))
	if *update {
		if err := os.WriteFile("table.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != tableText {
		t.Error("table.txt differs from PVE's API description; run go test -run TestTable -update and read the difference")
	}
}

// TestTableSaysWhatTheDescriptionSays compares the description with the table
// that the program reads. This also finds mistakes in writing the table.
func TestTableSaysWhatTheDescriptionSays(t *testing.T) {
	t.Parallel()
	api := readDescription(t)
	for _, e := range Endpoints() {
		key := e.Method + " " + e.Path
		described, ok := api[key]
		if !ok {
			t.Errorf("%s is not in PVE's API", key)
			continue
		}
		if len(e.Params) != len(described.Parameters.Properties) {
			t.Errorf("%s has %d parameters, PVE's %d", key, len(e.Params), len(described.Parameters.Properties))
		}
		for name, a := range described.Parameters.Properties {
			p := find(e.Params, strings.Replace(name, "[n]", "0", 1))
			if p == nil {
				t.Errorf("%s: no parameter %s", key, name)
				continue
			}
			if p.Kind != kindOf(a) || p.Optional != truth(a.Optional) || !slices.Equal(p.Enum, a.Enum) {
				t.Errorf("%s: %s is %v, PVE's is %+v", key, name, *p, a)
			}
		}
	}
}

func write(t *testing.T, api map[string]apiEndpoint) string {
	t.Helper()
	w := &writer{formats: map[string]string{}}
	for line := range strings.FieldsFuncSeq(served, func(r rune) bool { return r == '\n' }) {
		method, path, _ := strings.Cut(line, " ")
		e, ok := api[line]
		if !ok {
			t.Fatalf("%s is not in PVE's API", line)
		}
		fmt.Fprintf(&w.out, "%s %s %s\n", method, path, access(t, e))
		for _, name := range slices.Sorted(maps.Keys(e.Parameters.Properties)) {
			w.param(name, e.Parameters.Properties[name])
		}
	}
	for _, line := range slices.Sorted(maps.Keys(api)) {
		if !strings.Contains(served, "\n"+line+"\n") {
			w.out.WriteString("other " + line + "\n")
		}
	}
	head := "# Written by table_test.go with -update; see doc.go.\n"
	var formats strings.Builder
	for _, name := range slices.Sorted(maps.Keys(w.formats)) {
		formats.WriteString("format " + name + "\n" + w.formats[name])
	}
	return head + w.out.String() + formats.String() + hand
}

func access(t *testing.T, e apiEndpoint) string {
	t.Helper()
	var p struct {
		User  string `json:"user,omitempty"`
		Check []any  `json:"check,omitempty"`
	}
	if len(e.Permissions) > 0 {
		if err := json.Unmarshal(e.Permissions, &p); err != nil {
			t.Fatal(err)
		}
	}
	out := map[string]any{}
	if p.User != "" {
		out["user"] = p.User
	}
	if p.Check != nil {
		out["check"] = p.Check
	}
	if e.Parameters.Additional != nil && truth(e.Parameters.Additional) {
		out["open"] = true
	}
	if e.AllowToken != nil && !truth(e.AllowToken) {
		out["notoken"] = true
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

type writer struct {
	out     strings.Builder
	formats map[string]string
}

func (w *writer) param(name string, a apiParam) {
	if lines := newer[name]; len(lines) > 0 {
		w.out.WriteString(" " + strings.Join(lines, "\n ") + "\n")
		return
	}
	w.out.WriteString(w.line("", name, a))
}

func (w *writer) line(format, name string, a apiParam) string {
	fields := []string{name, string(kindOf(a))}
	add := func(flag, value string) {
		if value != "" {
			fields = append(fields, flag+"="+value)
		}
	}
	if truth(a.Optional) || a.Alias != "" {
		fields = append(fields, "optional")
	}
	if truth(a.Default) {
		fields = append(fields, "default")
	}
	add("enum", strings.Join(a.Enum, "|"))
	for flag, n := range map[string]*json.Number{"min": a.Minimum, "max": a.Maximum} {
		if n != nil {
			add(flag, n.String())
		}
	}
	for flag, n := range map[string]*json.Number{"minlength": a.MinLength, "maxlength": a.MaxLength} {
		if n != nil {
			add(flag, n.String())
		}
	}
	slices.Sort(fields[2:])
	add("since", since[strings.TrimSpace(format+" "+name)])
	add("keyalias", a.KeyAlias)
	add("alias", a.Alias)
	if requires, isName := a.Requires.(string); isName {
		add("requires", requires)
	}
	if a.Items != nil {
		var items apiParam
		if json.Unmarshal(*a.Items, &items) == nil {
			add("format", w.format(name+"[]", items.Format))
		}
	}
	add("format", w.format(name, a.Format))
	line := " " + strings.Join(fields, " ")
	if a.Pattern != "" {
		line += " pattern=" + a.Pattern
	}
	return line + "\n"
}

// The method "format" returns the name of a format. If a format is given as an
// object, it gets a name and its own block. All parameters with the same format
// share the block.
func (w *writer) format(name string, raw json.RawMessage) string {
	var named string
	if len(raw) == 0 || json.Unmarshal(raw, &named) == nil {
		return named
	}
	var keys map[string]apiParam
	if err := json.Unmarshal(raw, &keys); err != nil {
		return ""
	}
	var block strings.Builder
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		block.WriteString(w.line("@"+name, key, keys[key]))
	}
	for _, line := range newer["@"+name] {
		block.WriteString(" " + line + "\n")
	}
	for n := 1; ; n++ {
		candidate := "@" + name
		if n > 1 {
			candidate = fmt.Sprintf("@%s#%d", name, n)
		}
		known, taken := w.formats[candidate]
		if !taken {
			w.formats[candidate] = block.String()
		}
		if !taken || known == block.String() {
			return candidate
		}
	}
}

func kindOf(a apiParam) Kind {
	if kind, ok := a.Type.(string); ok {
		return Kind(kind)
	}
	return String
}

func truth(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case float64:
		return v != 0
	case string:
		return v != "" && v != "0"
	}
	return false
}

// TestHandWrittenFormats compares the formats in hand with the keys in the
// typetext of a parameter of the description.
func TestHandWrittenFormats(t *testing.T) {
	t.Parallel()
	api := readDescription(t)
	for param, name := range map[string]string{
		"hostpci[n]": "pve-qm-hostpci", "ipconfig[n]": "pve-qm-ipconfig", "cicustom": "pve-qm-cicustom", "boot": "pve-qm-boot",
		"smbios1": "pve-qm-smbios1", "watchdog": "pve-qm-watchdog", "rng0": "pve-qm-rng", "cpu": "pve-vm-cpu-conf",
		"amd-sev": "pve-qemu-sev-fmt", "intel-tdx": "pve-qemu-tdx-fmt",
	} {
		typetext := api["POST /nodes/{node}/qemu"].Parameters.Properties[param].TypeText
		format := loaded().formats[name]
		keys := slices.DeleteFunc(slices.Clone(format.Keys), func(p Param) bool { return (Version{9, 1}).before(p.Since) })
		for _, p := range keys {
			if !strings.Contains(typetext, p.Name+"=") && !strings.Contains(typetext, "["+p.Name+"=]") {
				t.Errorf("PVE's %s has no key %q: %s", param, p.Name, typetext)
			}
		}
		if n := len(keyInText.FindAllString(typetext, -1)); n != len(keys) {
			t.Errorf("PVE's %s has %d keys, ours %d: %s", param, n, len(keys), typetext)
		}
	}
}

var keyInText = regexp.MustCompile(`[\w-]+=`)

func TestPatternsCompile(t *testing.T) {
	t.Parallel()
	check := func(where string, params []Param) {
		for _, p := range params {
			if p.Pattern != "" && compile(p.Pattern).String() == "" {
				t.Errorf("%s: %s: Go cannot compile %q", where, p.Name, p.Pattern)
			}
		}
	}
	for _, e := range Endpoints() {
		check(e.Method+" "+e.Path, e.Params)
	}
	for name, f := range loaded().formats {
		check(name, f.Keys)
	}
}
