package workstation_test

import (
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestConnectSaysWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(sim.Close)
	website := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("<html>a router's login page</html>"))
	}))
	t.Cleanup(website.Close)
	websiteCA := x509.NewCertPool()
	websiteCA.AddCert(website.Certificate())
	const token = tokenID + "=" + tokenSecret
	good := workstation.Endpoint{URL: sim.URL(), Token: token, RootCAs: sim.CertPool()}
	tests := []struct {
		name  string
		wrong func(e workstation.Endpoint) workstation.Endpoint
		node  string
		is    error
		says  string
	}{
		{"a node that is not there", func(e workstation.Endpoint) workstation.Endpoint { return e }, "pve2", workstation.ErrNoNode, `"pve2" is not among the nodes pve`},
		{"no login", func(e workstation.Endpoint) workstation.Endpoint { e.Token = ""; return e }, "", nil, "give an API token"},
		{"half a token", func(e workstation.Endpoint) workstation.Endpoint { e.Token = "root@pam"; return e }, "", nil, "USER@REALM!ID=SECRET"},
		{"a wrong token", func(e workstation.Endpoint) workstation.Endpoint { e.Token = tokenID + "=" + "guess"; return e }, "", workstation.ErrLogin, "refuses the login"},
		{"a wrong password", func(e workstation.Endpoint) workstation.Endpoint {
			e.Token, e.Username, e.Password = "", "root@pam", "hunter2"
			return e
		}, "", workstation.ErrLogin, "refuses the login"},
		{"not PVE", func(e workstation.Endpoint) workstation.Endpoint { e.URL, e.RootCAs = website.URL, websiteCA; return e }, "", workstation.ErrNotPVE, "not a Proxmox VE API"},
		{"plain http", func(e workstation.Endpoint) workstation.Endpoint { e.URL = "http://pve:8006"; return e }, "", nil, "want https"},
		{"no URL", func(e workstation.Endpoint) workstation.Endpoint { e.URL = "pve"; return e }, "", nil, "want https://HOST:8006"},
		{"an unknown certificate", func(e workstation.Endpoint) workstation.Endpoint { e.RootCAs = nil; return e }, "", nil, sim.Fingerprint()},
		{"another fingerprint", func(e workstation.Endpoint) workstation.Endpoint {
			e.Fingerprint = strings.Repeat("AB:", 31) + "AB"
			return e
		}, "", nil, sim.Fingerprint()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, err := workstation.Connect(t.Context(), test.wrong(good), test.node, nil)
			if err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("error %v, want %v and %q", err, test.is, test.says)
			}
			for _, secret := range []string{tokenSecret, "hunter2", "guess"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error holds a secret: %v", err)
				}
			}
		})
	}
	pinned := good
	pinned.RootCAs, pinned.Fingerprint = nil, sim.Fingerprint()
	for _, e := range []workstation.Endpoint{good, pinned} {
		if _, err := workstation.Connect(t.Context(), e, "", nil); err != nil {
			t.Errorf("a good endpoint: %v", err)
		}
	}
}

func TestDiffRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	host.VMs = []pvetest.VM{{ID: 140, Config: map[string]string{"name": "mail-server"}}, {ID: 142, Config: map[string]string{"name": "disks", "scsi1": "local-lvm:vm-142-disk-0,size=8G"}}}
	replaced := workstation.VM{ID: 142, Name: "disks", Disks: []workstation.Disk{{Slot: "scsi1", Volume: "local:iso/a.iso", Options: map[string]string{"media": "cdrom"}}}}
	node := open(pvetest.New(host, nil))
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	card := []workstation.CardMapping{{ID: "rtx", Card: rtx}}
	edit := func(change func(*workstation.VM)) workstation.VM {
		vm := profile.Windows11{ID: 150}.VM()
		change(&vm)
		return vm
	}
	tests := []struct {
		name string
		spec workstation.Spec
		is   error
		says string
	}{
		{"a VMID of somebody else's", workstation.Spec{VMs: []workstation.VM{profile.Windows11{}.VM()}}, workstation.ErrTaken, `VM 140 is "mail-server"`},
		{"macOS with an RTX card", workstation.Spec{Mappings: card, VMs: []workstation.VM{edit(func(vm *workstation.VM) {
			vm.Guest, vm.Config["hostpci0"] = gpu.MacOSSequoia, "mapping=rtx,pcie=1"
		})}}, gpu.ErrUnsupported, "NVIDIA"},
		{"a storage that is not there", workstation.Spec{VMs: []workstation.VM{edit(func(vm *workstation.VM) { vm.Disks[0].Storage = "nvme-pool" })}}, storage.ErrNoPlace, "nvme-pool: the node has no such storage"},
		{"more than there is room for", workstation.Spec{VMs: []workstation.VM{profile.Windows11{ID: 150, System: 20 * storage.TiB}.VM()}}, storage.ErrNoPlace, "is needed"},
		{"no card at the address", workstation.Spec{Mappings: []workstation.CardMapping{{ID: "x1", Card: rtx.WithFunction(7)}, {ID: "x2", Card: iommu.Address{}}}}, workstation.ErrInvalid, "no graphics card"},
		{"a mapping that nobody makes", workstation.Spec{VMs: []workstation.VM{profile.Windows11{ID: 150, Card: "ghost"}.VM()}}, workstation.ErrInvalid, "no such resource mapping"},
		{"processors and memory below nothing", workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{ID: 150, Cores: -1, Memory: -1}.VM()}}, workstation.ErrInvalid, `cores "-1": want a whole number, at least 1`},
		{"a disk of games below nothing", workstation.Spec{VMs: []workstation.VM{profile.Windows11{ID: 150, Games: -1}.VM()}}, workstation.ErrInvalid, "scsi1"},
		{"memory that PVE cannot read", workstation.Spec{VMs: []workstation.VM{edit(func(vm *workstation.VM) { vm.Config["memory"] = "16G" })}}, workstation.ErrInvalid, `memory "16G": want a whole number of MiB, at least 16`},
		{"memory without its unit", workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{ID: 150, Memory: 32}.VM()}}, workstation.ErrInvalid, `memory "32 bytes": want a whole number of MiB, at least 16; in Go a size has its unit, such as 16*storage.GiB`},
		{"huge pages without their unit", workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{ID: 150, Tuning: profile.Tuning{HugePages: 2}}.VM()}}, workstation.ErrInvalid, `hugepages "2 bytes"`},
		{"a system without its unit", workstation.Spec{VMs: []workstation.VM{profile.Windows11{ID: 150, System: 128}.VM()}}, workstation.ErrInvalid, `scsi0 "128 bytes": a disk cannot be that small; in Go a size has its unit`},
		{"games without their unit", workstation.Spec{VMs: []workstation.VM{profile.Windows11{ID: 150, Games: 100}.VM()}}, workstation.ErrInvalid, `scsi1 "100 bytes": a disk cannot be that small`},
		{"Windows 11 without a TPM", workstation.Spec{VMs: []workstation.VM{edit(func(vm *workstation.VM) { vm.Disks = vm.Disks[:2] })}}, workstation.ErrInvalid, "TPM 2.0"},
		{"a VMID below 100", workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{ID: 7}.VM()}}, workstation.ErrInvalid, "100 to 999999999"},
		{"a name that PVE refuses", workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{Name: "my vm"}.VM()}}, workstation.ErrInvalid, "DNS name"},
		{"pcie without q35", workstation.Spec{Mappings: card, VMs: []workstation.VM{edit(func(vm *workstation.VM) {
			vm.Guest, vm.Config["machine"], vm.Config["hostpci0"] = gpu.Linux, "pc", "mapping=rtx,pcie=1"
		})}}, workstation.ErrInvalid, "q35"},
		{"a drive among the keys", workstation.Spec{VMs: []workstation.VM{edit(func(vm *workstation.VM) { vm.Config["scsi3"] = "local-lvm:8" })}}, workstation.ErrInvalid, "drives belong in Disks"},
		{"an ISO in place of a disk", workstation.Spec{VMs: []workstation.VM{replaced}}, workstation.ErrInvalid, "a disk is there, and local:iso/a.iso would take its place"},
		{"more memory than the host has", workstation.Spec{VMs: []workstation.VM{profile.LinuxAI{Memory: 512 * storage.GiB}.VM()}}, workstation.ErrInvalid, "the host has only"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			plan, err := workstation.Diff(test.spec, facts)
			if !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.says) || !plan.Empty() {
				t.Errorf("error %v, plan %v; want %v and %q and no plan", err, plan, test.is, test.says)
			}
		})
	}
}

func TestATokenThatMayLittleIsToldWhatItLacksAndChangesNothing(t *testing.T) {
	t.Parallel()
	host := pvetest.Reference()
	host.Users = []pvetest.User{{ID: "ops@pve", Privileges: map[string][]string{"/": {"Sys.Audit", "Datastore.Audit", "VM.Audit", "Mapping.Audit"}},
		Tokens: []pvetest.Token{{ID: "look", Secret: "a-secret"}}}}
	sim := pvetest.New(host, nil)
	node, err := workstation.Connect(t.Context(), workstation.Endpoint{URL: sim.URL(), Token: "ops@pve!look=a-secret", Transport: sim.Transport()}, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := workstation.Diff(dualBootSpec(), facts)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"/vms/140 VM.Allocate", "/storage/local-lvm Datastore.AllocateSpace", "/mapping/pci Mapping.Modify"} {
		if !strings.Contains(plan.String(), want) {
			t.Errorf("the plan does not say that %s is missing:\n%s", want, plan)
		}
	}
	if err := node.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrBlocked) {
		t.Errorf("apply: %v, want ErrBlocked", err)
	}
	for _, request := range sim.Trace() {
		if request.Method != http.MethodGet {
			t.Errorf("it writes: %s", request)
		}
	}
}

func TestAPlanThatDestroysMustBeAllowed(t *testing.T) {
	t.Parallel()
	sim := pvetest.New(made(), nil)
	node := open(sim)
	facts, err := node.Observe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := workstation.DestroyPlan(facts, 140)
	if err != nil {
		t.Fatal(err)
	}
	for _, disk := range []string{"scsi0", "scsi1", "efidisk0", "tpmstate0"} {
		if !strings.Contains(plan.String(), "- "+disk) {
			t.Errorf("the plan does not name %s:\n%s", disk, plan)
		}
	}
	if err := node.Apply(t.Context(), plan, nil); !errors.Is(err, workstation.ErrDestructive) {
		t.Errorf("apply: %v, want ErrDestructive", err)
	}
	if _, there := sim.VM(140); !there {
		t.Error("the VM is gone")
	}
}
