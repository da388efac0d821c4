package workstation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Every error of a node has an exported type, whichever method returned it.
func TestErrorsOfANodeArePublic(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		is   []error
		text string
		do   func(context.Context, *pvetest.Node, *workstation.Node) error
	}{
		"a VM that does not exist": {[]error{workstation.ErrNotFound}, "pve: GET /nodes/pve/qemu/999/agent/get-osinfo: 500 Configuration file",
			func(ctx context.Context, _ *pvetest.Node, n *workstation.Node) error {
				_, err := n.Agent(999).OS(ctx)
				return err
			}},
		"a VM that is not running": {[]error{workstation.ErrNotRunning}, "pve: task qmshutdown of 141 failed: VM 141 not running",
			func(ctx context.Context, sim *pvetest.Node, n *workstation.Node) error {
				sim.Inject(pvetest.Fault{Task: "qmshutdown", Kind: pvetest.TaskFails, Message: "VM 141 not running"})
				return n.Shutdown(ctx, 141, 0)
			}},
		"a card in use": {[]error{workstation.ErrInUse}, "pve: task qmstart of 141 failed: PCI device '",
			func(ctx context.Context, _ *pvetest.Node, n *workstation.Node) error { return n.Start(ctx, 141) }},
		"a guest that does not shut down": {[]error{workstation.ErrTimeout}, "pve: task qmshutdown of 140 failed: VM quit/powerdown failed",
			func(ctx context.Context, sim *pvetest.Node, n *workstation.Node) error {
				sim.Inject(pvetest.Fault{Task: "qmshutdown", Kind: pvetest.TaskFails, Message: "VM quit/powerdown failed - got timeout"})
				return n.Shutdown(ctx, 140, time.Second)
			}},
		"a locked VM": {[]error{workstation.ErrLocked}, "pve: ",
			func(ctx context.Context, sim *pvetest.Node, n *workstation.Node) error {
				_ = sim.Lock(141, "backup")
				return n.Start(ctx, 141)
			}},
		"a refusal": {[]error{workstation.ErrPermission}, "pve: GET /nodes/pve/qemu",
			func(ctx context.Context, sim *pvetest.Node, n *workstation.Node) error {
				sim.Inject(pvetest.Fault{Path: "/nodes/pve/qemu", Kind: pvetest.Forbid})
				_, err := n.Observe(ctx)
				return errors.Unwrap(err)
			}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(pair(), nil)
				time.Sleep(time.Minute)
				err := test.do(t.Context(), sim, patient(sim, nil))
				var request *workstation.RequestError
				var task *workstation.TaskError
				if err == nil || !errors.As(err, &request) && !errors.As(err, &task) || !strings.HasPrefix(err.Error(), test.text) {
					t.Fatalf("error %v (%T), want %q", err, err, test.text)
				}
				for _, sentinel := range test.is {
					if !errors.Is(err, sentinel) {
						t.Errorf("error %v does not match %v", err, sentinel)
					}
				}
				if errors.Is(err, workstation.ErrExists) {
					t.Errorf("error %v matches what it is not", err)
				}
			})
		})
	}
}

// If the certificate changes after the login, the error of every request names
// the certificate.
func TestACertificateIsNamedByEveryRequest(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(sim.Close)
	for name, e := range map[string]workstation.Endpoint{
		"token":    {URL: sim.URL(), Token: tokenID + "=" + tokenSecret},
		"password": {URL: sim.URL(), Username: "root@pam", Password: "secret", Fingerprint: strings.Repeat("AB", 32)},
	} {
		_, err := workstation.Connect(t.Context(), e, "", nil)
		var certificate *workstation.CertificateError
		if !errors.As(err, &certificate) || certificate.Fingerprint != sim.Fingerprint() || certificate.Why == "" || certificate.Host == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// An error value that a user of the package makes for a test behaves like the
// same error of a node.
func TestErrorsCanBeMade(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ err, is error }{
		{&workstation.RequestError{Method: "GET", Path: "/x", Status: 403, Message: "no"}, workstation.ErrPermission},
		{&workstation.RequestError{Method: "GET", Path: "/x", Message: "EOF"}, workstation.ErrNoAnswer},
		{&workstation.RequestError{Status: 400}, workstation.ErrInvalid},
		{&workstation.RequestError{Status: 500, Message: "detected modified configuration - file changed by other user?"}, workstation.ErrStale},
		{&workstation.TaskError{UPID: "x", Exit: "VM 140 not running"}, workstation.ErrNotRunning},
	} {
		if !errors.Is(test.err, test.is) || !strings.HasPrefix(test.err.Error(), "pve: ") || errors.Is(test.err, workstation.ErrTaken) {
			t.Errorf("%v, want %v", test.err, test.is)
		}
	}
}

func TestEndpointsDoNotPrintSecrets(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://pve", "https://root:hush@pve", "root:hush@pve:8006", "hush\n"} {
		e := workstation.Endpoint{URL: address, Token: "u@pve!t=hush", Password: "hush"}
		text, err := json.Marshal(map[string]any{"endpoint": e, "at": &e})
		if err != nil {
			t.Fatal(err)
		}
		if shown := fmt.Sprintf("%v %+v %#v %s %d %s", e, e, e, e, e, text); strings.Contains(shown, "hush") {
			t.Error(shown)
		}
	}
}

func ExampleEndpoint() {
	e := workstation.Endpoint{URL: "https://pve.example:8006", Token: "ops@pve!desk=11111111-2222-3333-4444-555555555555"}
	fmt.Println(e)
	_, err := workstation.Connect(context.Background(), workstation.Endpoint{URL: "http://pve.example:8006"}, "", nil)
	fmt.Println(err, errors.Is(err, workstation.ErrInvalid))
	// Output:
	// https://pve.example:8006
	// pve: endpoint "http://pve.example:8006": want https, because the login must not be readable on the way true
}

func ExampleRequestError() {
	node, closeNode := embeddedNode(pvetest.Reference())
	defer closeNode()
	_, err := node.Agent(199).OS(context.Background())
	var refused *workstation.RequestError
	if errors.As(err, &refused) {
		fmt.Println(refused.Method, refused.Path)
		fmt.Println(refused.Status, refused.Message)
	}
	fmt.Println(errors.Is(err, workstation.ErrNotFound))
	// Output:
	// GET /nodes/pve/qemu/199/agent/get-osinfo
	// 500 Configuration file 'nodes/pve/qemu-server/199.conf' does not exist
	// true
}

func ExampleTaskError() {
	err := error(&workstation.TaskError{UPID: "UPID:pve:000004CC:6AD09660:386D43BC:qmstart:141:root@pam:", Type: "qmstart", VMID: 141,
		Exit: "PCI device '0000:01:00.0' already in use by VMID '140'"})
	var failed *workstation.TaskError
	if errors.As(err, &failed) {
		fmt.Println(failed.Type, failed.VMID, errors.Is(err, workstation.ErrInUse))
	}
	// Output:
	// qmstart 141 true
}

func ExampleCertificateError() {
	err := error(&workstation.CertificateError{Host: "pve.example", Fingerprint: "AB:CD", Why: "certificate signed by unknown authority"})
	var unknown *workstation.CertificateError
	if errors.As(err, &unknown) {
		fmt.Println("compare with PVE's web interface:", unknown.Fingerprint)
	}
	// Output:
	// compare with PVE's web interface: AB:CD
}

func ExampleBackupJob() {
	job := workstation.BackupJob{ID: "nightly", Schedule: "02:00", Mode: "snapshot", Enabled: true, All: true, Exclude: []int{140}}
	fmt.Println(job.Schedule, job.All, job.Exclude)
	// Output:
	// 02:00 true [140]
}
