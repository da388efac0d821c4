package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation"
)

// Judges the answers of the nodes.
func (v view) facts() Facts {
	f := Facts{Name: v.Cluster}
	newest := ""
	for _, r := range v.nodes {
		if r != nil && (newest == "" || older(newest, r.facts.Version)) {
			newest = r.facts.Version
		}
	}
	for i, m := range v.Members {
		n := NodeFacts{Name: m.Name, Address: m.Address}
		if r := v.nodes[i]; r != nil {
			n.Facts, n.Err = r.facts, r.err
		}
		n.State = v.state(m, n.Err)
		n.Findings = append(n.stateFindings(), otherVersion(n, newest)...)
		f.Nodes = append(f.Nodes, n)
	}
	f.judgeQuorum(v)
	for _, g := range v.guests {
		guest := Guest{VMID: g.VMID, Name: g.Name, Node: g.Node, Container: g.Container, Pool: g.Pool}
		if home, ok := f.Node(g.Node); ok && home.State != Away && g.Known {
			guest.Running = proxstation.AnswerOf(g.Running)
		}
		f.Guests = append(f.Guests, guest)
	}
	slices.SortFunc(f.Guests, func(a, b Guest) int { return a.VMID - b.VMID })
	return f
}

// Returns the state of a node. PVE's proxy answers 595 if it cannot connect to
// the node, and 596 if it connects but gets no answer (AnyEvent::HTTP).
func (v view) state(m pve.Member, err error) State {
	var refused *workstation.RequestError
	switch {
	case !m.Online || errors.As(err, &refused) && refused.Status == 595:
		return Away
	case errors.Is(err, errSlow), errors.Is(err, workstation.ErrNoAnswer):
		return Slow
	case errors.Is(err, workstation.ErrPermission):
		return Forbidden
	case err != nil:
		return Unread
	case !v.permissions.Allows("/nodes/"+m.Name, "Sys.Audit"):
		return Forbidden
	}
	return Online
}

// stateFindings says why a node cannot be used.
func (n NodeFacts) stateFindings() []proxstation.Finding {
	f := proxstation.Finding{Severity: proxstation.Warning, Subject: "node " + n.Name}
	if n.Err != nil {
		f.Seen = n.Err.Error()
	}
	switch n.State {
	case Away:
		f.ID, f.Seen = "cluster.node-away", cmp.Or(f.Seen, "/cluster/status: online is 0")
		f.Why = "The other nodes do not reach the node: its VMs cannot be controlled, and it may still run them."
		f.Fix = "Look at the node itself: is it powered on, is its network connected, does pvecm status on it show a quorum, does systemctl status corosync pveproxy show both running?"
	case Slow:
		f.ID = "cluster.node-slow"
		f.Why = "The node hangs or is overloaded, and nothing is known about it."
		f.Fix = "On the node, look at what hangs: journalctl -b -u pvedaemon -u pveproxy -u pvestatd, and uptime for its load."
	case Forbidden:
		f.ID, f.Seen = "cluster.node-forbidden", cmp.Or(f.Seen, "/access/permissions: no Sys.Audit on /nodes/"+n.Name)
		f.Why = "The login may not read the node: its devices, disks and memory are unknown."
		f.Fix = "Give the login Sys.Audit on the node: pveum acl modify /nodes/" + n.Name + " --users USER@REALM --roles PVEAuditor (for a token: --tokens USER@REALM!ID)."
	case Unread:
		f.ID = "cluster.node-unread"
		f.Why = "The node answers, but what it answered cannot be used: nothing is known about it."
		f.Fix = "On the node, compare with pvesh get /nodes/" + n.Name + "/status, and look at journalctl -b -u pvedaemon -u pveproxy."
	default:
		return nil
	}
	return []proxstation.Finding{f}
}

// otherVersion reports a node that runs an older release of PVE than another
// node. Only the first two numbers of a version count: 9.1.4 and 9.1.5 are the
// same release.
func otherVersion(n NodeFacts, newest string) []proxstation.Finding {
	if n.Facts.Version == "" || !older(n.Facts.Version, newest) {
		return nil
	}
	f := proxstation.Finding{ID: "cluster.other-version", Severity: proxstation.Info, Subject: "node " + n.Name, Seen: fmt.Sprintf("PVE %s, and another node has %s", n.Facts.Version, newest),
		Why: "The node may not know a setting or a machine version that a newer node knows: a VM moved here from a newer node may not start.",
		Fix: "Update the node: apt update && apt full-upgrade, then restart it."}
	if release(n.Facts.Version)[0] != release(newest)[0] {
		f.Severity = proxstation.Warning
		f.Fix = "Upgrade the node soon: PVE supports two major versions in one cluster only while the nodes are upgraded. Begin with pve8to9 --full on the node, if it has PVE 8."
	}
	return []proxstation.Finding{f}
}

func older(version, than string) bool {
	a, b := release(version), release(than)
	return slices.Compare(a[:], b[:]) < 0
}

// release returns the major and the minor version: 9 and 1 for "9.1.4".
func release(version string) (parts [2]int) {
	for i, text := range strings.SplitN(version, ".", 3)[:min(2, strings.Count(version, ".")+1)] {
		parts[i], _ = strconv.Atoi(text) // a part that is not a number counts as 0
	}
	return parts
}

func (f *Facts) judgeQuorum(v view) {
	here, online := "", 0
	for _, m := range v.Members {
		if m.Local {
			here = m.Name
		}
		if m.Online {
			online++
		}
	}
	switch {
	case v.unaudited != nil:
		f.Quorate, f.QuorateSeen = proxstation.Unknown, v.unaudited.Error()
		f.Findings = append(f.Findings, proxstation.Finding{ID: "cluster.quorum-unknown", Severity: proxstation.Info, Subject: "cluster", Seen: f.QuorateSeen,
			Why: "Whether the cluster has a quorum is unknown: without a quorum, PVE refuses every change.", Fix: "Give the login Sys.Audit on /: pveum acl modify / --users USER@REALM --roles PVEAuditor."})
	case v.Cluster == "":
		f.Quorate, f.QuorateSeen = proxstation.Yes, "node "+here+" is in no cluster"
	default:
		f.Quorate = proxstation.AnswerOf(v.Quorate)
		f.QuorateSeen = fmt.Sprintf("/cluster/status of node %s: %d of %d nodes online, quorate: %s", here, online, len(v.Members), f.Quorate)
	}
	if f.Quorate == proxstation.No {
		f.Findings = append(f.Findings, proxstation.Finding{ID: "cluster.no-quorum", Severity: proxstation.Blocker, Subject: "cluster " + v.Cluster, Seen: f.QuorateSeen,
			Why: "Without a majority of the votes, /etc/pve is read-only: no VM can be started, changed or moved. Running VMs go on, unless they are under high availability.",
			Fix: "Bring the missing nodes back, and look at the votes with pvecm status on node " + here + ". Only if the missing nodes are switched off and stay off, run pvecm expected 1 there."})
	}
}
