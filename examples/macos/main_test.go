package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/recovery"

	"github.com/proxstation/proxstation/examples/internal/term"
)

// TestEmbedded runs both stages.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := (&show{out: term.Of(&out), release: recovery.Sequoia}).run(t.Context(), nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	at := 0
	for _, want := range []string{"cannot use NVIDIA", "The iGPU's mode is legacy", "a configured copy of", "+ VM 130 macos", "+ vga       vmware", "opencore.identity", "VM 130 is shut down", "+ hostpci0  mapping=macos-gpu,legacy-igd=1",
		"vmware -> none", "The same again", "nothing to do", "VM 130 runs"} {
		found := strings.Index(out.String()[at:], want)
		if found < 0 {
			t.Fatalf("the show does not say %q then:\n%s", want, out.String()[at:])
		}
		at += found
	}
	if secret := strings.Repeat("x", 64); strings.Contains(out.String(), secret) {
		t.Error("the show shows the key")
	}
}

// real starts an embedded node and sets the environment so that it names this
// node. It returns the node, and the flags that the program needs.
func real(t *testing.T) (*pvetest.Node, []string) {
	t.Helper()
	sim := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: 100}).Start()
	t.Cleanup(sim.Close)
	t.Setenv("PROXMOX_VE_ENDPOINT", sim.URL())
	t.Setenv("PROXMOX_VE_USERNAME", "root@pam")
	t.Setenv("PROXMOX_VE_PASSWORD", "secret")
	t.Setenv("MACOS_OSK", strings.Repeat("not-a-key", 8)[:64])
	return sim, []string{"-fingerprint", sim.Fingerprint(), "-opencore", "local:import/opencore-osx-proxmox-vm.raw"}
}

func TestRealNode(t *testing.T) { //nolint:paralleltest // the environment is the test's
	sim, flags := real(t)
	recoveryVolume := []string{"-recovery", "local:import/recovery-sequoia.raw"}
	for _, step := range []struct {
		name    string
		args    []string
		says    string // a part of the expected output or error
		fails   bool
		hostpci string // the card's hostpci value afterwards; "none" if there is no VM
	}{
		{"a plan", recoveryVolume, "Nothing was changed", false, "none"},
		{"an unknown stage", []string{"-stage", "three"}, "want install, card or off", true, "none"},
		{"an unknown mode", []string{"-mode", "vgpu"}, "want chosen, legacy or headless", true, "none"},
		{"an unknown release", []string{"-release", "leopard"}, "unknown macOS release", true, "none"},
		{"a word too many", []string{"apply"}, `"apply" is not a flag`, true, "none"},
		{"no such image", []string{"-recovery", "local:import/gone.raw", "-apply"}, "does not exist", true, "none"},
		{"the first stage", append(recoveryVolume, "-apply"), "creating VM 130", false, ""},
		{"the second, planned", []string{"-stage", "card"}, "Nothing was changed", false, ""},
		{"the second", []string{"-stage", "card", "-apply"}, "changing hostpci0", false, "mapping=macos-gpu,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom"},
		{"beside a virtual display", []string{"-stage", "card", "-mode", "headless", "-apply"}, "changing args", false, "mapping=macos-gpu,romfile=Universal_noGOP_igd.rom"},
		{"back to the first", []string{"-stage", "off", "-apply"}, "- hostpci0", false, ""},
	} {
		var out bytes.Buffer
		err := (&show{out: term.Of(&out), release: recovery.Sequoia}).run(t.Context(), append(slices.Clone(flags), step.args...))
		text := out.String()
		if err != nil {
			text += err.Error()
		}
		hostpci := "none"
		if state, there := sim.VM(130); there {
			hostpci = state.Config["hostpci0"]
		}
		if (err != nil) != step.fails || !strings.Contains(text, step.says) || hostpci != step.hostpci {
			t.Errorf("%s: error %v, hostpci0 %q, want %q; output\n%s", step.name, err, hostpci, step.hostpci, text)
		}
		if strings.Contains(text, os.Getenv("MACOS_OSK")) {
			t.Errorf("%s: the output shows the key", step.name)
		}
	}
	if err := sim.Check(); err != nil {
		t.Error(err)
	}
}

func TestWithoutAKey(t *testing.T) {
	_, flags := real(t)
	t.Setenv("MACOS_OSK", "")
	err := (&show{out: term.Of(&bytes.Buffer{}), release: recovery.Sequoia}).run(t.Context(), append(flags, "-apply"))
	if err == nil || !strings.Contains(err.Error(), "MACOS_OSK") {
		t.Errorf("error %v", err)
	}
}

// TestFetch fetches a recovery system from a server that replaces Apple's
// service. The test signs the recovery system with its own key.
func TestFetch(t *testing.T) { //nolint:paralleltest // the environment is the test's
	sim, flags := real(t)
	image, asked := bytes.Repeat([]byte("BaseSystem"), 1<<17), 0
	key, list := signed(t, image)
	var server *httptest.Server
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/":
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		case "/InstallationPayload/RecoveryImage":
			fmt.Fprintf(w, "AP: 041-91758\nAU: %[1]s/dmg\nAT: t\nCU: %[1]s/chunklist\nCT: t\n", server.URL)
		case "/chunklist":
			_, _ = w.Write(list)
		case "/dmg":
			_, _ = w.Write(image)
		}
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	fetch := func(keys ...*rsa.PublicKey) (string, error) {
		var out bytes.Buffer
		s := &show{out: term.Of(&out), release: recovery.Sonoma, service: recovery.Client{URL: server.URL, Keys: keys}}
		err := s.run(t.Context(), append(slices.Clone(flags), "-fetch", dir, "-apply"))
		return out.String(), err
	}
	if out, err := fetch(); err == nil || !strings.Contains(err.Error(), "signature is not Apple's") {
		t.Fatalf("an image that Apple did not sign: %v\n%s", err, out)
	}
	if _, there := sim.VM(130); there {
		t.Fatal("a VM was made without its image")
	}
	out, err := fetch(&key.PublicKey)
	state, _ := sim.VM(130)
	if err != nil || !strings.Contains(out, "import-from=local:import/recovery-sonoma.raw") || state.Config["sata5"] == "" {
		t.Errorf("error %v, disk %q, output\n%s", err, state.Config["sata5"], out)
	}
	asked = 0
	if out, err = fetch(&key.PublicKey); err != nil || asked != 0 || !strings.Contains(out, "nothing to do") {
		t.Errorf("again: error %v, %d requests to the service, output\n%s", err, asked, out)
	}
}

// signed returns a new key, and the chunklist of an image in Apple's format,
// signed with this key.
func signed(t *testing.T, image []byte) (*rsa.PrivateKey, []byte) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	le, chunk := binary.LittleEndian, sha256.Sum256(image)
	list := append([]byte("CNKL"), 36, 0, 0, 0, 1, 1, 1, 0)
	list = le.AppendUint64(le.AppendUint64(le.AppendUint64(list, 1), 36), 36+36)
	list = append(le.AppendUint32(list, uint32(len(image))), chunk[:]...)
	sum := sha256.Sum256(list)
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(signature)
	return key, append(list, signature...)
}
