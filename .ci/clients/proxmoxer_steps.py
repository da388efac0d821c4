"""Goes through the embedded node with proxmoxer, and compares each answer.

A step is a name, a call, and what it must give: a value, a type, a function
that says yes or no, or the number and the words of a refusal. Of the errors by parameter this client
shows nothing.
"""

import os
import sys
import time

import proxmoxer
from proxmoxer.backends.https import AuthenticationError
from proxmoxer.core import ResourceException

HOST, PORT = os.environ["PVE_ADDRESS"].split(":")
CA = os.environ["PVE_CA"]
LIMIT = 60  # seconds for a task


def login(**how):
    return proxmoxer.ProxmoxAPI(HOST, port=int(PORT), user="root@pam", verify_ssl=CA, **how)


api = login(password="secret")
token = login(token_name="lab", token_value="11111111-2222-3333-4444-555555555555")
node = api.nodes("pve")
vm = node.qemu(500)


class Refused:
    def __init__(self, status, words):
        self.status, self.words = status, words

    def __repr__(self):
        return "%d ...%s..." % (self.status, self.words)


def task(upid):
    """Waits for a task and returns how it ended."""
    until = time.time() + LIMIT
    while time.time() < until:
        status = node.tasks(upid).status.get()
        if status["status"] == "stopped":
            return status["exitstatus"]
        time.sleep(0.1)
    return "still running"


def has(**fields):
    return lambda answer: all(answer.get(key) == value for key, value in fields.items())


def lists(key, *values):
    return lambda answer: set(values) <= {entry.get(key) for entry in answer}


def keys(*names):
    return lambda answer: set(names) <= set(answer[0] if isinstance(answer, list) else answer)


def agent(command, method="get", **data):
    return lambda: getattr(vm.agent(command), method)(**data)["result"]


def wait_for_agent():
    until = time.time() + LIMIT
    while time.time() < until:
        try:
            return vm.agent.ping.post()
        except ResourceException:
            time.sleep(0.1)
    return "no agent"


STEPS = [
    # who is who
    ("a wrong password", lambda: login(password="guess"), AuthenticationError),
    ("version", api.version.get, has(release="9.1")),
    ("version, by token", token.version.get, has(release="9.1")),
    # the node
    ("nodes", api.nodes.get, keys("node", "cpu", "maxcpu", "mem", "maxmem", "disk", "maxdisk", "uptime", "ssl_fingerprint")),
    ("what is below a node", node.get, lists("name", "qemu", "storage", "tasks")),
    ("status", node.status.get, keys("cpu", "wait", "rootfs", "swap", "ksm", "memory", "loadavg")),
    ("subscription", node.subscription.get, has(status="notfound")),
    ("dns", node.dns.get, keys("dns1")),
    ("hosts", node.hosts.get, keys("data", "digest")),
    ("a bridge", node.network("vmbr0").get, has(type="bridge")),
    ("services", node.services.get, lists("service", "pveproxy")),
    ("cluster status", api.cluster.status.get, keys("ip", "local", "online")),
    ("cluster options", api.cluster.options.get, has(mac_prefix="BC:24:11")),
    ("replication", api.cluster.replication.get, []),
    ("zones", api.cluster.sdn.zones.get, []),
    # access
    ("users", api.access.users.get, lists("userid", "root@pam")),
    ("roles", api.access.roles.get, lists("roleid", "Administrator", "PVEVMUser", "NoAccess")),
    ("realms", api.access.domains.get, lists("realm", "pam", "pve")),
    ("a user", lambda: api.access.users.post(userid="eve@pve", password="abcdefgh"), None),
    ("the user again", lambda: api.access.users.post(userid="eve@pve"), Refused(500, "already exists")),
    ("a token", lambda: api.access.users("eve@pve").token("tok").post(privsep=1), keys("value", "full-tokenid")),
    ("a right", lambda: api.access.acl.put(path="/vms", users="eve@pve", roles="PVEVMUser"), None),
    ("the list of rights", api.access.acl.get, lists("ugid", "eve@pve")),
    ("a pool", lambda: api.pools.post(poolid="lab"), None),
    # a VM's life
    ("create", lambda: task(node.qemu.post(
        vmid=500, name="walk", memory=2048, cores=2, scsihw="virtio-scsi-single", scsi0="local-lvm:8", ostype="l26", agent=1, pool="lab",
        net0="virtio,bridge=vmbr0", ide2="local:iso/ubuntu-24.04.3-live-server-amd64.iso,media=cdrom")), "OK"),
    ("create again", lambda: node.qemu.post(vmid=500), Refused(500, "already exists")),
    ("an option that PVE does not have", lambda: vm.config.put(nonsense=1), Refused(400, "Parameter verification failed")),
    ("pool's members", api.pools("lab").get, lambda pool: [m["vmid"] for m in pool["members"]] == [500]),
    ("configure", lambda: vm.config.put(description="x", cores=4), None),
    ("configuration", vm.config.get, has(description="x", cores=4)),
    ("cloud-init", lambda: task(vm.config.post(ide0="local-lvm:cloudinit", ciuser="me", ipconfig0="ip=dhcp")), "OK"),
    ("cloud-init's user data", lambda: vm.cloudinit.dump.get(type="user"), lambda text: text.startswith("#cloud-config")),
    ("resize", lambda: task(vm.resize.put(disk="scsi0", size="+1G")), "OK"),
    ("resources", lambda: api.cluster.resources.get(type="vm"), keys("maxcpu", "template", "node", "pool")),
    ("can it take snapshots", lambda: vm.feature.get(feature="snapshot"), has(hasFeature=1)),
    ("snapshot", lambda: task(vm.snapshot.post(snapname="s1", description="before")), "OK"),
    ("snapshot's configuration", vm.snapshot("s1").config.get, has(cores=4, description="before")),
    ("change", lambda: vm.config.put(cores=1), None),
    ("rollback", lambda: task(vm.snapshot("s1").rollback.post()), "OK"),
    ("it is as before", vm.config.get, has(cores=4, parent="s1")),
    ("delete the snapshot", lambda: task(vm.snapshot("s1").delete()), "OK"),
    ("start", lambda: task(vm.status.start.post()), "OK"),
    ("status", vm.status.current.get, has(status="running")),
    ("console", lambda: vm.vncproxy.post(websocket=1), keys("ticket", "port", "password", "cert")),
    ("key", lambda: vm.sendkey.put(key="ret"), None),
    ("agent", wait_for_agent, {"result": {}}),
    ("address", agent("network-get-interfaces"), lambda nics: any(
        a["ip-address-type"] == "ipv4" for nic in nics if nic["name"] != "lo" for a in nic.get("ip-addresses", []))),
    ("file systems", agent("get-fsinfo"), lists("mountpoint", "/")),
    ("freeze", agent("fsfreeze-freeze", "post"), 1),
    ("frozen", agent("fsfreeze-status", "post"), "frozen"),
    ("thaw", agent("fsfreeze-thaw", "post"), 1),
    ("password", agent("set-user-password", "post", username="a", password="abcdefgh"), {}),
    ("run", lambda: vm.agent("exec").post(command=["true"]), keys("pid")),
    ("shutdown", lambda: task(vm.status.shutdown.post(timeout=60)), "OK"),
    # copies
    ("full clone", lambda: task(vm.clone.post(newid=501, name="full", full=1)), "OK"),
    ("linked clone of a VM", lambda: vm.clone.post(newid=502, full=0), Refused(500, "Linked clone feature is not supported")),
    ("template", lambda: task(vm.template.post()), "OK"),
    ("linked clone of the template", lambda: task(vm.clone.post(newid=502)), "OK"),
    ("start the template", lambda: task(vm.status.start.post()), "you can't start a vm if it's a template"),
    ("backup", lambda: task(node.vzdump.post(vmid=501, storage="local")), "OK"),
    ("backups", lambda: node.storage("local").content.get(content="backup"), lambda files: "vzdump-qemu-501-" in files[0]["volid"]),
    ("upload", lambda: node.storage("local").upload.post(content="iso", filename=open(os.environ["PVE_FILE"], "rb")), str),
    # odds and ends
    ("a storage", lambda: api.storage.post(storage="extra", type="dir", path="/mnt/extra", content="iso"), has(storage="extra")),
    ("a storage that is not there", node.storage("none").status.get, Refused(400, "Parameter verification failed")),
    ("a backup job", lambda: api.cluster.backup.post(schedule="daily", storage="local", vmid="501"), None),
    ("guests without backup", api.cluster("backup-info")("not-backed-up").get, lists("vmid", 500, 502)),
    ("high availability", lambda: api.cluster.ha.resources.post(sid="vm:501", state="ignored"), None),
    ("a method that is not served", lambda: node.lxc.post(vmid=600, ostemplate="local:vztmpl/x.tar.zst"), Refused(501, "does not serve it")),
    ("a method that there is not", api.nowhere.get, Refused(501, "not implemented")),
    ("destroy", lambda: [task(node.qemu(id).delete(purge=1)) for id in (502, 501, 500)], ["OK", "OK", "OK"]),
    ("it is gone", vm.status.current.get, Refused(500, "does not exist")),
]


def verdict(call, want):
    """Returns what a step gave, and whether it is right."""
    try:
        got = call()
    except ResourceException as err:
        return err, isinstance(want, Refused) and err.status_code == want.status and want.words in err.content
    except AuthenticationError as err:
        return err, want is AuthenticationError
    if isinstance(want, type):
        return got, isinstance(got, want)
    return got, want(got) if callable(want) else got == want


wrong = 0
for name, call, want in STEPS:
    got, right = verdict(call, want)
    if not right:
        wrong += 1
        print("%s: %s, want %r" % (name, str(got)[:300], want))
print("proxmoxer %s: %d steps, %d wrong" % (proxmoxer.__version__, len(STEPS), wrong))
sys.exit(wrong > 0)
