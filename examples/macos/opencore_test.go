package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/examples/internal/term"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/recovery"
)

// The program makes a VM from a configured copy of OpenCore's image. With
// -replace, a later copy becomes the VM's first boot loader.
func TestOpenCore(t *testing.T) {
	sim, flags := real(t)
	flags = flags[:slices.Index(flags, "-opencore")]
	dir := t.TempDir()
	image := filepath.Join(dir, "OpenCore-v21.iso.gz")
	content := opencoretest.New(opencoretest.Config).GPT(16, 20<<20).Gzip()
	kext := filepath.Join(dir, "Lilu.kext")
	files := opencoretest.Bundle("Lilu.kext", "Lilu", "as.vit9696.Lilu", "1.7.2")
	files["OpenCore-v21.iso.gz"] = content
	for name, data := range files {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, data, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	serial := "C02XW0AAJV3Q"
	for name, value := range map[string]string{"MACOS_SERIAL": serial, "MACOS_MLB": "C02834707ABLNV9AX", "MACOS_UUID": "6D3BCE8A-9B3C-4E5A-8C57-6C2E9AB5E0F1", "MACOS_ROM": "0a1b2c3d4e5f"} {
		t.Setenv(name, value)
	}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		err := (&show{out: term.Of(&out), release: recovery.Sequoia}).run(t.Context(), append(slices.Clone(flags), args...))
		if strings.Contains(out.String(), serial) {
			t.Errorf("the output shows the serial number:\n%s", out.String())
		}
		return out.String(), err
	}
	copies := func() []string {
		found, err := filepath.Glob(filepath.Join(dir, "OpenCore-v21-*.raw"))
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	t.Run("identity given and not set", func(t *testing.T) {
		for _, name := range []string{"MACOS_SERIAL", "MACOS_MLB", "MACOS_UUID", "MACOS_ROM"} {
			t.Setenv(name, "")
		}
		if out, err := run("-opencore", image, "-identity", "given"); err == nil || !strings.Contains(err.Error(), "-identity given: set MACOS_SERIAL") {
			t.Errorf("%v\n%s", err, out)
		}
	})
	for _, wrong := range [][]string{{"-identity", "mine"}, {"-kext", image}, {"-opencore", image + ".gone", "-replace"}, {"-opencore", "local:import/oc.raw", "-identity", "made-up"}} {
		if out, err := run(append([]string{"-opencore", image}, wrong...)...); err == nil {
			t.Errorf("%s is taken:\n%s", wrong, out)
		}
	}
	out, err := run("-opencore", image, "-kext", kext, "-identity", "given")
	for _, want := range []string{"a configured copy of", "iMacPro1,1 -> iMac19,1", "AAPL,ig-platform-id: <07009B3E>", "+ Lilu.kext 1.7.2", "[identity]", "Nothing was changed"} {
		if flat := strings.Join(strings.Fields(out), " "); err != nil || !strings.Contains(flat, want) {
			t.Fatalf("the plan does not say %q (%v):\n%s", want, err, out)
		}
	}
	if len(copies()) != 0 {
		t.Error("a plan wrote a copy")
	}
	if out, err = run("-opencore", image, "-kext", kext, "-identity", "given", "-apply"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	state, _ := sim.VM(130)
	if len(copies()) != 1 || state.Config["sata4"] == "" || !strings.Contains(out, "import-from=local:import/"+filepath.Base(copies()[0])) {
		t.Fatalf("copies %q, sata4 %q:\n%s", copies(), state.Config["sata4"], out)
	}
	if again, err := opencore.PlanFile(copies()[0], opencore.Machine{Release: recovery.Sequoia.Guest(), VM: state.Config}, nil); err != nil || again.Err() != nil {
		t.Errorf("the copy: %v, %v", err, again.Err())
	}
	if out, err = run("-opencore", image, "-stage", "card", "-mode", "headless", "-replace", "-apply"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	state, _ = sim.VM(130)
	if state.Config["sata0"] == "" || state.Config["sata4"] == "" || !strings.HasPrefix(state.Config["boot"], "order=sata0;sata4;") || !strings.Contains(strings.Join(strings.Fields(out), " "), "This is experimental") {
		t.Errorf("boot %s, sata0 %s, sata4 %s:\n%s", state.Config["boot"], state.Config["sata0"], state.Config["sata4"], out)
	}
	before := len(copies())
	if out, err = run("-opencore", image, "-stage", "card", "-mode", "headless", "-replace", "-apply"); err != nil || !strings.Contains(out, "nothing to do") || len(copies()) != before {
		t.Errorf("the same again: %v, copies %q:\n%s", err, copies(), out)
	}
	if kept, err := os.ReadFile(image); err != nil || !bytes.Equal(kept, content) {
		t.Error("the image itself is another")
	}
	if err := sim.Check(); err != nil {
		t.Error(err)
	}
}
