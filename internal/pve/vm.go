package pve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/proxstation/proxstation/storage"
)

// A VMStatus is the state of a VM in PVE's list of VMs.
type VMStatus struct {
	VMID     int
	Name     string
	Running  bool
	Lock     string
	Tags     string
	Template bool
	// Paused says that QEMU runs but the guest does not: the guest is paused,
	// asleep, or halted by an error, or QEMU was started for a backup. Only
	// [Client.VMsInFull] fills this in for a list of VMs.
	Paused bool
	// Asleep says that the guest of a paused VM sleeps (S3), and can be woken.
	Asleep bool
	Uptime time.Duration
	PID    int          // the process ID of QEMU; 0 for a VM that is off
	Memory storage.Size // the configured size
	// HA says whether the VM is under high availability. HAState is the VM's
	// state in the HA manager: "started", "request_stop", "error". It is empty
	// while the manager does not know the VM yet. Only [Client.Status] fills in
	// HA and HAState.
	HA      bool
	HAState string
}

type vmStatus struct {
	VMID     number `json:"vmid"`
	Name     string `json:"name"`
	Status   string `json:"status"`
	QMP      string `json:"qmpstatus"`
	Lock     string `json:"lock"`
	Tags     string `json:"tags"`
	Template flag   `json:"template"`
	Uptime   number `json:"uptime"`
	PID      number `json:"pid"`
	MaxMem   number `json:"maxmem"`
	HA       struct {
		Managed flag   `json:"managed"`
		State   string `json:"state"`
	} `json:"ha"`
}

// halted holds QEMU's states in which the process exists but the guest does not
// run (QEMU QMP reference, RunState).
var halted = []string{"paused", "suspended", "prelaunch", "io-error", "internal-error", "guest-panicked"}

func (s vmStatus) public() VMStatus {
	return VMStatus{VMID: int(s.VMID.value), Name: s.Name, Running: s.Status == "running", Lock: s.Lock, Tags: s.Tags,
		Template: bool(s.Template), Uptime: time.Duration(s.Uptime.value) * time.Second, PID: int(s.PID.value), Memory: storage.Size(s.MaxMem.value),
		HA: bool(s.HA.Managed), HAState: s.HA.State, Paused: slices.Contains(halted, s.QMP), Asleep: s.QMP == "suspended"}
}

// VMs returns the node's VMs that the caller may see, sorted by VMID. PVE
// itself returns them in the random order of a hash.
func (c *Client) VMs(ctx context.Context) ([]VMStatus, error) {
	return c.list(ctx, nil)
}

// VMsInFull returns the VMs with Paused filled in. PVE must query QEMU about
// every running VM for this.
func (c *Client) VMsInFull(ctx context.Context) ([]VMStatus, error) {
	return c.list(ctx, url.Values{"full": {"1"}})
}

func (c *Client) list(ctx context.Context, query url.Values) ([]VMStatus, error) {
	var entries []vmStatus
	if err := c.get(ctx, c.here("/qemu"), query, &entries); err != nil {
		return nil, err
	}
	var list []VMStatus
	for _, e := range entries {
		switch {
		case !e.VMID.known:
			c.odd(ctx, http.MethodGet, c.here("/qemu"), fmt.Sprintf("VM %q: no VMID", e.Name))
			continue
		case e.Status != "running" && e.Status != "stopped":
			c.odd(ctx, http.MethodGet, c.here("/qemu"), fmt.Sprintf("VM %d: status %q", e.VMID.value, e.Status))
		}
		list = append(list, e.public())
	}
	slices.SortFunc(list, func(a, b VMStatus) int { return a.VMID - b.VMID })
	return list, nil
}

// Status returns the state of one VM.
func (c *Client) Status(ctx context.Context, vmid int) (VMStatus, error) {
	var s vmStatus
	path := c.vm(vmid, "/status/current")
	if err := c.get(ctx, path, nil, &s); err != nil {
		return VMStatus{}, err
	}
	if s.Status != "running" && s.Status != "stopped" { // a VM in an unknown state must not count as off
		return VMStatus{}, c.unusable(http.MethodGet, path, "it does not say whether the VM is running")
	}
	status := s.public()
	status.VMID = vmid
	return status, nil
}

// A Config is a VM's configuration, including the changes that take effect at
// the next start.
type Config struct {
	Values map[string]string // in the form of the configuration file
	Digest string
}

// Config returns a VM's configuration. It leaves out keys that will be deleted
// at the next start, except keys with the value 0 (pve-guest-common
// PVE/AbstractConfig.pm, load_current_config). [Client.WholeConfig] leaves out
// all keys that will be deleted.
func (c *Client) Config(ctx context.Context, vmid int) (Config, error) {
	values := map[string]text{}
	if err := c.get(ctx, c.vm(vmid, "/config"), nil, &values); err != nil {
		return Config{}, err
	}
	config := Config{Values: map[string]string{}, Digest: string(values["digest"])}
	delete(values, "digest")
	for key, value := range values {
		config.Values[key] = string(value)
	}
	return config, nil
}

// Create starts to make a VM.
func (c *Client) Create(ctx context.Context, vmid int, values map[string]string) (task UPID, err error) {
	params := map[string]any{"vmid": vmid}
	for key, value := range values {
		params[key] = value
	}
	return task, c.post(ctx, c.here("/qemu"), params, &task)
}

// A Change is a change of a VM's configuration.
type Change struct {
	Set    map[string]string
	Delete []string
	// Digest is the digest of the configuration to change. If the configuration
	// has changed since, PVE refuses the change with [ErrStale].
	Digest string
}

func (ch Change) params() map[string]any {
	params := map[string]any{}
	for key, value := range ch.Set {
		params[key] = value
	}
	if len(ch.Delete) > 0 {
		list := ""
		for _, key := range ch.Delete {
			list += "," + key
		}
		params["delete"] = list[1:]
	}
	if ch.Digest != "" {
		params["digest"] = ch.Digest
	}
	return params
}

// ChangeConfig starts to change a configuration. PVE makes new disks in a task.
func (c *Client) ChangeConfig(ctx context.Context, vmid int, change Change) (task UPID, err error) {
	return task, c.post(ctx, c.vm(vmid, "/config"), change.params(), &task)
}

// SetConfig changes a configuration without a task. It is for keys whose change
// takes no time.
func (c *Client) SetConfig(ctx context.Context, vmid int, change Change) error {
	return c.call(ctx, http.MethodPut, c.vm(vmid, "/config"), change.params(), nil)
}

// A Resize makes a disk larger.
type Resize struct {
	Disk   string
	Size   storage.Size // the new size
	Digest string
}

// Resize starts to make a disk larger.
func (c *Client) Resize(ctx context.Context, vmid int, r Resize) (task UPID, err error) {
	params := map[string]any{"disk": r.Disk, "size": r.Size.String()}
	if r.Digest != "" {
		params["digest"] = r.Digest
	}
	return task, c.call(ctx, http.MethodPut, c.vm(vmid, "/resize"), params, &task)
}

// Destroy starts to remove a VM with the disks that its configuration names.
func (c *Client) Destroy(ctx context.Context, vmid int) (task UPID, err error) {
	return task, c.delete(ctx, c.vm(vmid, ""), &task)
}

// Start begins the start of a VM.
func (c *Client) Start(ctx context.Context, vmid int) (task UPID, err error) {
	return task, c.post(ctx, c.vm(vmid, "/status/start"), map[string]any{}, &task)
}

// Shutdown begins to shut a guest down. PVE waits for the timeout, in whole
// seconds. If the guest still runs then and force is set, PVE ends the VM. If
// force is not set, the task fails.
func (c *Client) Shutdown(ctx context.Context, vmid int, timeout time.Duration, force bool) (task UPID, err error) {
	params := map[string]any{"timeout": int(timeout.Seconds()), "forceStop": 0}
	if force {
		params["forceStop"] = 1
	}
	return task, c.post(ctx, c.vm(vmid, "/status/shutdown"), params, &task)
}

// Stop begins to end a VM immediately, like pulling a machine's plug.
func (c *Client) Stop(ctx context.Context, vmid int) (task UPID, err error) {
	return task, c.post(ctx, c.vm(vmid, "/status/stop"), map[string]any{}, &task)
}

// SendKey presses a key of a VM's keyboard. key is QEMU's name for it.
func (c *Client) SendKey(ctx context.Context, vmid int, key string) error {
	return c.call(ctx, http.MethodPut, c.vm(vmid, "/sendkey"), map[string]any{"key": key}, nil)
}

// Resume begins to let a VM's paused guest continue, or to wake a guest that
// sleeps (qemu-server PVE/QemuServer/RunState.pm, vm_resume).
func (c *Client) Resume(ctx context.Context, vmid int) (task UPID, err error) {
	return task, c.post(ctx, c.vm(vmid, "/status/resume"), map[string]any{}, &task)
}
