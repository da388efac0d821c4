package pvetest

import (
	"time"
)

// The method "quorate" reports whether the node sees the majority of the
// cluster's votes. Each node has one vote (corosync votequorum(5),
// expected_votes/2 + 1).
func (b *base) quorate() bool {
	votes := 0
	for _, other := range b.peers {
		votes += bit(b.sees(other))
	}
	return votes > len(b.peers)/2
}

// needQuorum is for methods that first check for quorum. If the node has no
// quorum, it returns PVE's refusal (pve-cluster src/PVE/Cluster.pm,
// check_cfs_quorum).
func (b *base) needQuorum() error {
	if b.quorate() {
		return nil
	}
	return refuse("cluster not ready - no quorum?")
}

// mayWriteConfig returns the error of a write to a VM's configuration file.
// Without quorum, pmxcfs refuses all writes (pve-cluster src/pmxcfs/dcdb.c;
// pve-common src/PVE/File.pm, file_set_contents).
func (b *base) mayWriteConfig(vmid int) error {
	if b.quorate() {
		return nil
	}
	return refuse("unable to open file '/etc/pve/nodes/%s/qemu-server/%d.conf.tmp.%d' - Permission denied", b.host.Name, vmid, b.pid())
}

// quorumFirst lists the methods that check for quorum before they do anything
// (qemu-server src/PVE/API2/Qemu.pm, pve-ha-manager src/PVE/API2/HA).
var quorumFirst = map[string]bool{
	"POST /nodes/{node}/qemu":                     true,
	"POST /nodes/{node}/qemu/{vmid}/status/start": true,
	"POST /nodes/{node}/qemu/{vmid}/clone":        true,
	"GET /nodes/{node}/qemu/{vmid}/migrate":       true,
	"POST /nodes/{node}/qemu/{vmid}/migrate":      true,
	"POST /cluster/ha/resources":                  true,
	"POST /cluster/ha/rules":                      true,
	"POST /cluster/ha/groups":                     true,
}

// A clusterLock names the lock of pmxcfs that a method takes, and the words
// that the method puts before an error.
type clusterLock struct{ lock, prefix string }

// clusterLocks lists the methods that change files of the whole cluster, and
// the lock of each method (lock_user_config, lock_storage_config,
// lock_pci_config, lock_ha_domain and cfs_lock_file in PVE's packages).
var clusterLocks = map[string]clusterLock{
	"POST /access/users":                            {"file-user_cfg", "create user failed: "},
	"PUT /access/users/{userid}":                    {"file-user_cfg", "update user failed: "},
	"DELETE /access/users/{userid}":                 {"file-user_cfg", "delete user failed: "},
	"POST /access/users/{userid}/token/{tokenid}":   {"file-user_cfg", "generating token failed: "},
	"PUT /access/users/{userid}/token/{tokenid}":    {"file-user_cfg", "updating token info failed: "},
	"DELETE /access/users/{userid}/token/{tokenid}": {"file-user_cfg", "deleting token failed: "},
	"POST /access/groups":                           {"file-user_cfg", "create group failed: "},
	"PUT /access/groups/{groupid}":                  {"file-user_cfg", "update group failed: "},
	"DELETE /access/groups/{groupid}":               {"file-user_cfg", "delete group failed: "},
	"POST /access/roles":                            {"file-user_cfg", "create role failed: "},
	"PUT /access/roles/{roleid}":                    {"file-user_cfg", "update role failed: "},
	"DELETE /access/roles/{roleid}":                 {"file-user_cfg", "delete role failed: "},
	"PUT /access/acl":                               {"file-user_cfg", "ACL update failed: "},
	"POST /pools":                                   {"file-user_cfg", "create pool failed: "},
	"PUT /pools":                                    {"file-user_cfg", "update pools failed: "},
	"DELETE /pools":                                 {"file-user_cfg", "delete pool failed: "},
	"PUT /pools/{poolid}":                           {"file-user_cfg", "update pools failed: "},
	"DELETE /pools/{poolid}":                        {"file-user_cfg", "delete pool failed: "},
	"POST /storage":                                 {"file-storage_cfg", "create storage failed: "},
	"PUT /storage/{storage}":                        {"file-storage_cfg", "update storage failed: "},
	"DELETE /storage/{storage}":                     {"file-storage_cfg", "delete storage failed: "},
	"POST /cluster/mapping/pci":                     {"file-mapping_pci_cfg", "create hardware mapping failed: "},
	"PUT /cluster/mapping/pci/{id}":                 {"file-mapping_pci_cfg", "update hardware mapping failed: "},
	"DELETE /cluster/mapping/pci/{id}":              {"file-mapping_pci_cfg", "delete pci mapping failed: "},
	"PUT /cluster/options":                          {"file-datacenter_cfg", ""},
	"POST /cluster/backup":                          {"file-jobs_cfg", ""},
	"PUT /cluster/backup/{id}":                      {"file-vzdump_cron", ""},
	"DELETE /cluster/backup/{id}":                   {"file-vzdump_cron", ""},
	"POST /cluster/replication":                     {"file-replication_cfg", ""},
	"PUT /cluster/replication/{id}":                 {"file-replication_cfg", ""},
	"DELETE /cluster/replication/{id}":              {"file-replication_cfg", ""},
	"PUT /cluster/ha/resources/{sid}":               {"domain-ha", "update resources config failed: "},
	"DELETE /cluster/ha/resources/{sid}":            {"domain-ha", "delete resource failed: "},
	"POST /cluster/ha/resources/{sid}/migrate":      {"domain-ha", ""},
	"POST /cluster/ha/resources/{sid}/relocate":     {"domain-ha", ""},
	"PUT /cluster/ha/rules/{rule}":                  {"domain-ha", "update HA rules failed: "},
	"DELETE /cluster/ha/rules/{rule}":               {"domain-ha", "delete ha rule failed: "},
	"PUT /cluster/ha/groups/{group}":                {"domain-ha", "update ha group failed: "},
	"DELETE /cluster/ha/groups/{group}":             {"domain-ha", "delete ha group failed: "},
}

// cfsLockTimeout is the time for which PVE tries to take a lock of pmxcfs
// (pve-cluster src/PVE/Cluster.pm, $cfs_lock).
const cfsLockTimeout = 10 * time.Second

// mayChangeCluster returns the refusal of a method that cannot write to
// /etc/pve because the node has no quorum. A method that needs a lock of pmxcfs
// first waits for [cfsLockTimeout]. If the quorum returns in this time, the
// method continues.
func (n *Node) mayChangeCluster(c *call) error {
	method := c.endpoint.Method + " " + c.endpoint.Path
	if quorumFirst[method] {
		return n.needQuorum()
	}
	lock, locks := clusterLocks[method]
	if !locks {
		return nil
	}
	for waited := time.Duration(0); !n.quorate(); waited += time.Second {
		if waited >= cfsLockTimeout {
			return refuse("%scfs-lock '%s' error: no quorum!", lock.prefix, lock.lock)
		}
		if !n.pause(c.context, time.Second) {
			return errGone
		}
	}
	return nil
}
