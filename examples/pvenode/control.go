package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// control serves requests that a test sends to change the node behind the
// client's back. These requests need no login.
//
//	GET    /control/trace             the newest requests, as JSON
//	GET    /control/check             200 if the node's state is sound, otherwise 409 and the faults
//	POST   /control/faults            plans a fault: a pvetest.Fault as JSON, such as
//	                                  {"method": "POST", "path": ".*/140/status/start", "kind": "596", "times": 2}
//	DELETE /control/faults            forgets all faults
//	POST   /control/vms/140/on        also off, suspend, console, destroy, backup, endbackup
//	POST   /control/vms/140/lock?lock=backup    an empty lock releases it
//	POST   /control/logout            makes all tickets invalid
//	POST   /control/restart           cuts the host's power, and gives it back
//
// The requests above concern the node on whose port they arrive. The requests
// below concern the cluster, and may arrive on the port of any node:
//
//	POST   /control/nodes/pve2/down   cuts the power of a node; "up" boots it
//	POST   /control/nodes/pve2/delay?time=2s    delays each answer of the node
//	POST   /control/partition?nodes=pve1,pve2   the named nodes reach only each other; without nodes, all reach each other
func control(node *pvetest.Node, cluster *pvetest.Cluster) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /control/trace", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(node.Trace()) // if the client is gone, nobody needs the answer
	})
	mux.HandleFunc("GET /control/check", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, cluster.Check(), http.StatusConflict)
	})
	mux.HandleFunc("POST /control/faults", func(w http.ResponseWriter, r *http.Request) { answer(w, plan(node, r), http.StatusBadRequest) })
	mux.HandleFunc("DELETE /control/faults", func(w http.ResponseWriter, _ *http.Request) { node.ClearFaults(); answer(w, nil, 0) })
	mux.HandleFunc("POST /control/logout", func(w http.ResponseWriter, _ *http.Request) { node.Logout(); answer(w, nil, 0) })
	mux.HandleFunc("POST /control/restart", func(w http.ResponseWriter, _ *http.Request) { node.Restart(); answer(w, nil, 0) })
	mux.HandleFunc("POST /control/vms/{id}/{deed}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, act(node, r), http.StatusBadRequest)
	})
	mux.HandleFunc("POST /control/nodes/{name}/{deed}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, power(cluster, r), http.StatusBadRequest)
	})
	mux.HandleFunc("POST /control/partition", func(w http.ResponseWriter, r *http.Request) {
		answer(w, partition(cluster, r.URL.Query().Get("nodes")), http.StatusBadRequest)
	})
	return mux
}

// answer sends an empty answer if err is nil, and otherwise the error with the
// status.
func answer(w http.ResponseWriter, err error, status int) {
	if err != nil {
		http.Error(w, err.Error(), status)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// faultKinds is the set of the kinds that a fault can have.
var faultKinds = map[pvetest.FaultKind]bool{
	pvetest.Refuse: true, pvetest.Forbid: true, pvetest.DropBefore: true, pvetest.DropAfter: true, pvetest.ErrorAfter: true,
	pvetest.ProxyTimeout: true, pvetest.ProxyDown: true, pvetest.ExpireTicket: true, pvetest.Slow: true, pvetest.HangAfter: true,
	pvetest.PowerBefore: true, pvetest.PowerAfter: true,
	pvetest.TaskFails: true, pvetest.TaskFailsLate: true, pvetest.TaskHangs: true, pvetest.TaskWarns: true,
}

// plan reads a fault from a request. From then on, the node has this fault.
func plan(node *pvetest.Node, r *http.Request) error {
	var fault pvetest.Fault
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&fault); err != nil {
		return err
	}
	if _, err := regexp.Compile(fault.Path); err != nil {
		return err
	}
	if !faultKinds[fault.Kind] {
		return fmt.Errorf("%q is not a kind of fault", fault.Kind)
	}
	node.Inject(fault)
	return nil
}

// act changes a VM behind the client's back, as another person or a backup job
// would.
func act(node *pvetest.Node, r *http.Request) error {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil {
		return fmt.Errorf("%q is not a VMID", r.PathValue("id"))
	}
	if r.PathValue("deed") == "lock" {
		return node.Lock(id, r.URL.Query().Get("lock"))
	}
	deeds := map[string]func(int) error{
		"on": node.PowerOn, "off": node.PowerOff, "suspend": node.Suspend, "console": node.OpenConsole, "destroy": node.DestroyVM,
		"backup": node.BeginBackup, "endbackup": node.EndBackup,
	}
	deed, known := deeds[r.PathValue("deed")]
	if !known {
		return fmt.Errorf("%q is not an action on a VM", r.PathValue("deed"))
	}
	return deed(id)
}

// power cuts the power of a node, boots the node, or makes it slow.
func power(cluster *pvetest.Cluster, r *http.Request) error {
	name := r.PathValue("name")
	if err := known(cluster, name); err != nil {
		return err
	}
	switch r.PathValue("deed") {
	case "down":
		cluster.Down(name)
	case "up":
		cluster.Up(name)
	case "delay":
		delay, err := time.ParseDuration(r.URL.Query().Get("time"))
		if err != nil {
			return err
		}
		cluster.Delay(name, delay)
	default:
		return fmt.Errorf("%q is not an action on a node", r.PathValue("deed"))
	}
	return nil
}

// partition splits the network between the nodes in the list and all other
// nodes.
func partition(cluster *pvetest.Cluster, list string) error {
	names := strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
	for _, name := range names {
		if err := known(cluster, name); err != nil {
			return err
		}
	}
	cluster.Partition(names...)
	return nil
}

// The function "known" returns an error if no node of the cluster has the name.
func known(cluster *pvetest.Cluster, name string) error {
	for _, node := range cluster.Nodes() {
		if node.Name() == name {
			return nil
		}
	}
	return fmt.Errorf("there is no node %q", name)
}
