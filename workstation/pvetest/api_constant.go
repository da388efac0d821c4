package pvetest

import "path"

// The function "constant" returns a handler that always gives the same answer.
func constant(answer any) handler {
	return func(*Node, *call) (any, error) { return answer, nil }
}

func empty() handler { return constant([]any{}) }

// constantHandlers returns handlers for parts of PVE that the embedded node
// does not have: subscription, cluster, firewall, replication, software-defined
// network. Clients ask for these parts, so the handlers give constant answers.
func constantHandlers() map[string]handler {
	const node, qemu = "/nodes/{node}", "/nodes/{node}/qemu/{vmid}"
	firewall := map[string]any{"digest": emptyDigest}
	return map[string]handler{
		"GET /access/tfa":                              empty(),
		"GET /access/ticket":                           constant(nil),
		"GET /cluster/config/nodes":                    (*Node).corosyncNodes,
		"GET /cluster/firewall/options":                constant(firewall),
		"GET /cluster/log":                             empty(),
		"GET /cluster/mapping/dir":                     empty(),
		"GET /cluster/mapping/usb":                     empty(),
		"GET /cluster/sdn/vnets":                       empty(),
		"GET /cluster/sdn/zones":                       empty(),
		"GET " + node + "/aplinfo":                     empty(),
		"GET " + node + "/apt/update":                  empty(),
		"GET " + node + "/apt/versions":                (*Node).packages,
		"GET " + node + "/certificates/info":           (*Node).certificates,
		"GET " + node + "/config":                      constant(map[string]any{}),
		"GET " + node + "/dns":                         (*Node).dns,
		"GET " + node + "/firewall/options":            constant(firewall),
		"GET " + node + "/hosts":                       (*Node).hosts,
		"GET " + node + "/network/{iface}":             (*Node).oneInterface,
		"GET " + node + "/query-url-metadata":          (*Node).urlMetadata,
		"GET " + node + "/rrddata":                     (*Node).history,
		"GET " + node + "/services":                    (*Node).services,
		"GET " + node + "/capabilities/qemu/cpu-flags": (*Node).listFlags,
		"GET " + node + "/syslog":                      constant([]map[string]any{{"n": 1, "t": "no content"}}),
		"GET " + node + "/subscription":                constant(noSubscription),
		"GET " + node + "/vzdump/defaults":             constant(backupDefaults),
		"GET " + qemu + "/firewall/options":            onVM(func(*Node, *call, *vm) (any, error) { return firewall, nil }),
		"GET " + qemu + "/rrddata":                     onVM(func(n *Node, c *call, _ *vm) (any, error) { return n.history(c) }),
		"GET " + node + "/storage/{storage}/rrddata":   (*Node).history,
	}
}

var noSubscription = map[string]any{
	"status": "notfound", "message": "There is no subscription key", "serverid": nil,
	"url": "https://www.proxmox.com/en/proxmox-virtual-environment/pricing",
}

// backupDefaults holds the defaults of vzdump (pve-manager
// PVE/VZDump/Common.pm).
var backupDefaults = map[string]any{
	"all": 0, "bwlimit": 0, "compress": "0", "dumpdir": "/var/lib/vz/dump", "fleecing": map[string]any{"enabled": 0}, "ionice": 7,
	"lockwait": 180, "mailnotification": "always", "mode": "snapshot", "notification-mode": "auto",
	"performance": map[string]any{"max-workers": 16, "pbs-entries-max": 1048576}, "pigz": 0, "prune-backups": "keep-all=1",
	"quiet": 0, "remove": 1, "stdexcludes": 1, "stop": 0, "stopwait": 10, "storage": "local", "zstd": 1,
}

// listFlags serves GET cpu-flags. It lists the CPU flags that a VM may turn on
// or off (qemu-server PVE/QemuServer/CPUConfig.pm,
// $supported_vm_specific_cpu_flags_by_arch).
func (n *Node) listFlags(*call) (any, error) {
	list := []map[string]any{}
	for _, name := range []string{"aes", "amd-no-ssb", "amd-ssbd", "hv-evmcs", "hv-tlbflush", "ibpb", "md-clear", "nested-virt", "pcid", "pdpe1gb", "spec-ctrl", "ssbd", "virt-ssbd"} {
		list = append(list, map[string]any{"name": name, "description": name, "supported-on": []string{n.host.Name}})
	}
	return list, nil
}

// packages serves GET apt/versions. It lists only the three packages whose
// versions clients read.
func (n *Node) packages(*call) (any, error) {
	list := []map[string]any{}
	for name, version := range map[string]string{"pve-manager": n.host.Version, "qemu-server": n.host.Version, "pve-qemu-kvm": n.qemu()} {
		list = append(list, map[string]any{
			"Package": name, "Title": name, "Version": version, "OldVersion": version, "CurrentState": "Installed",
			"Arch": "amd64", "Origin": "Proxmox", "Section": "admin", "Priority": "optional", "Description": name,
		})
	}
	return list, nil
}

func (n *Node) certificates(*call) (any, error) {
	return []map[string]any{{
		"filename": "pve-root-ca.pem", "pem": string(n.authorityPEM()), "issuer": "/CN=Proxmox Virtual Environment",
		"subject": "/CN=Proxmox Virtual Environment", "fingerprint": n.Fingerprint(), "notbefore": n.began.AddDate(0, 0, -1).Unix(), "notafter": n.began.AddDate(10, 0, 0).Unix(),
	}}, nil
}

func (n *Node) dns(*call) (any, error) {
	return map[string]any{"search": "local", "dns1": n.gateway()}, nil
}

func (n *Node) hosts(*call) (any, error) {
	return map[string]any{"digest": emptyDigest, "data": "127.0.0.1 localhost\n" + n.host.address() + " " + n.host.Name + ".local " + n.host.Name + "\n"}, nil
}

// services serves GET services. It lists only PVE's own services.
func (n *Node) services(*call) (any, error) {
	list := []map[string]any{}
	for _, name := range []string{"pve-cluster", "pvedaemon", "pveproxy", "pvestatd", "qmeventd"} {
		list = append(list, map[string]any{"service": name, "name": name, "desc": name, "state": "running", "active-state": "active", "unit-state": "enabled"})
	}
	return list, nil
}

// urlMetadata serves GET query-url-metadata, for the files in Host.Downloads.
func (n *Node) urlMetadata(c *call) (any, error) {
	url := c.get("url")
	size, known := n.host.Downloads[url]
	if !known {
		return nil, refuse("invalid server response: '404 Not Found'")
	}
	return map[string]any{"size": size, "filename": path.Base(url), "mimetype": "application/octet-stream"}, nil
}

// history serves GET rrddata. Its answer is a list of 70 points in time,
// without any values.
func (n *Node) history(*call) (any, error) {
	list := []map[string]any{}
	for i := range 70 {
		list = append(list, map[string]any{"time": n.now.Unix()/60*60 - int64(70-i)*60})
	}
	return list, nil
}
