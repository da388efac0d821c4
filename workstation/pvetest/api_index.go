package pvetest

import (
	"net/http"
	"strings"
)

// An index is the list of names below a path of the API.
type index struct{ path, key, names string }

// indexes lists the directories of PVE's API. In the answer, each name is the
// value of a key such as "name" or "subdir". Which key it is depends on the
// directory. Some directories do not list all names (the methods "index" of
// pve-manager PVE/API2 and of the packages below it).
var indexes = []index{
	{"/access", "subdir", "acl domains groups openid password roles tfa ticket users"},
	{"/cluster", "name", "acme backup backup-info bulk-action ceph config firewall ha jobs log mapping metrics nextid notifications options qemu replication resources sdn status tasks"},
	{"/cluster/backup-info", "subdir", "not-backed-up"},
	{"/cluster/config", "name", "apiversion join nodes qdevice totem"},
	{"/cluster/firewall", "name", "aliases groups ipset macros options refs rules"},
	{"/cluster/ha", "id", "groups resources rules status"},
	{"/cluster/ha/status", "name", "current manager_status"},
	{"/cluster/mapping", "name", "dir pci usb"},
	{"/cluster/sdn", "id", "controllers dns fabrics ipams vnets zones"},
	{"/nodes/{node}", "name", "aplinfo apt capabilities ceph certificates config disks dns firewall hardware hosts journal lxc migrateall netstat network qemu query-oci-repo-tags query-url-metadata replication report rrd rrddata scan sdn services spiceshell startall status stopall storage subscription suspendall syslog tasks termproxy time version vncshell vzdump wakeonlan"},
	{"/nodes/{node}/apt", "id", "changelog repositories update versions"},
	{"/nodes/{node}/capabilities", "name", "qemu"},
	{"/nodes/{node}/capabilities/qemu", "name", "cpu cpu-flags machines migration"},
	{"/nodes/{node}/certificates", "name", "acme custom info"},
	{"/nodes/{node}/disks", "name", "directory initgpt list lvm lvmthin smart wipedisk zfs"},
	{"/nodes/{node}/firewall", "name", "log options rules"},
	{"/nodes/{node}/hardware", "type", "pci usb"},
	{"/nodes/{node}/scan", "method", "cifs iscsi lvm lvmthin nfs pbs zfs"},
	{"/nodes/{node}/storage/{storage}", "subdir", "content download-url file-restore identity import-metadata oci-registry-pull prunebackups rrd rrddata status upload"},
	{"/nodes/{node}/tasks/{upid}", "name", "log status"},
}

// indexesOfVMs lists the directories below a VM. They exist only if the VM
// exists.
var indexesOfVMs = []index{
	{"", "subdir", "agent cloudinit config firewall migrate monitor move mtunnel pending remote_migrate resize rrd rrddata sendkey snapshot spiceproxy status termproxy unlink vncproxy"},
	{"/agent", "name", "exec exec-status file-read file-write fsfreeze-freeze fsfreeze-status fsfreeze-thaw fstrim get-fsinfo get-host-name get-memory-block-info get-memory-blocks get-osinfo get-time get-timezone get-users get-vcpus info network-get-interfaces ping set-user-password shutdown suspend-disk suspend-hybrid suspend-ram"},
	{"/firewall", "name", "aliases ipset options refs rules"},
	{"/snapshot/{snapname}", "cmd", "config rollback"},
	{"/status", "subdir", "current reboot reset resume shutdown start stop suspend"},
}

// root is the directory at /api2/json itself. PVE's API description does not
// mention it.
var root = index{"/", "subdir", "access cluster nodes pools storage version"}

func (i index) list() []map[string]any {
	list := []map[string]any{}
	for name := range strings.FieldsSeq(i.names) {
		list = append(list, map[string]any{i.key: name})
	}
	return list
}

func indexHandlers() map[string]handler {
	all := map[string]handler{}
	for _, i := range indexes {
		all[http.MethodGet+" "+i.path] = func(*Node, *call) (any, error) { return i.list(), nil }
	}
	for _, i := range indexesOfVMs {
		all[http.MethodGet+" /nodes/{node}/qemu/{vmid}"+i.path] = onVM(func(*Node, *call, *vm) (any, error) { return i.list(), nil })
	}
	return all
}
