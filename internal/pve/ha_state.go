package pve

// HAMoves holds the states in which the HA manager is at work on a VM, each with
// its meaning. In these states it would undo or delay every request
// (pve-ha-manager PVE/HA/Manager.pm).
var HAMoves = map[string]string{
	"fence":    "The HA manager waits until the VM's node is fenced.",
	"recovery": "The HA manager is looking for another node for the VM.",
	"migrate":  "The HA manager is migrating the VM.",
	"relocate": "The HA manager is moving the VM to another node.",
	"freeze":   "The HA manager leaves the VM alone while its node restarts or is disarmed.",
}

// HAWants reports whether the HA manager runs a VM or is about to start it. It
// returns false while the HA manager carries out a request to stop
// (pve-ha-manager PVE/HA/Manager.pm, next_state_started).
func HAWants(state string) bool {
	switch state {
	case "", "stopped", "disabled", "error", "request_stop", "ignored":
		return false
	}
	return true
}

// Off reports whether a VM is off and stays off: the HA manager does not want it
// to run.
func (s VMStatus) Off() bool {
	return !s.Running && !(s.HA && HAWants(s.HAState))
}
