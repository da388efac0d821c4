package workstation_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/lab/guest"
	"github.com/proxstation/proxstation/internal/opencoretest"
	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/workstation/opencore"
)

// A loading is one case: an OpenCore image in a VM.
type loading struct {
	name   string
	golden string            // the golden whose configuration the VM has
	other  map[string]string // keys that differ from the golden
	card   gpu.Card
	image  func(opencoretest.Tree) opencoretest.Memory
}

func loadings() []loading {
	gpt := func(t opencoretest.Tree) opencoretest.Memory { return t.GPT(16, 20<<20) }
	discrete := map[string]string{"hostpci0": "mapping=rtx,pcie=1,x-vga=1", "vga": "none"}
	rx6600 := cardOf(rtx, gpu.AMD, 0x73ff)
	return []loading{
		{"GPT on i440fx, the iGPU as display", "macOS on the iGPU", nil, uhd630, gpt},
		{"GPT on q35, the iGPU beside", "macOS beside the iGPU", nil, uhd630, func(t opencoretest.Tree) opencoretest.Memory { return t.GPT(32, 48<<20).Gzip() }},
		{"GPT on q35, a discrete card", "macOS, being installed", discrete, rx6600, gpt},
		{"FAT alone on q35", "macOS, being installed", nil, gpu.Card{}, func(t opencoretest.Tree) opencoretest.Memory { return t.FAT(32, 40<<20) }},
		{"FAT alone on i440fx", "macOS on the iGPU", nil, uhd630, func(t opencoretest.Tree) opencoretest.Memory { return t.FAT(16, 16<<20) }},
		{"MBR on i440fx", "macOS on the iGPU", nil, uhd630, func(t opencoretest.Tree) opencoretest.Memory { return t.MBR(16, 20<<20) }},
		{"a CD on q35", "macOS, being installed", map[string]string{"sata4": "local:iso/OpenCore.iso,media=cdrom,size=16M"}, gpu.Card{},
			func(t opencoretest.Tree) opencoretest.Memory { return t.ISO(16 << 20) }},
	}
}

// TestFirmwareStartsOpenCore boots copies of OpenCore images, after configuring
// them. The images have the layouts of public images. A program in place of
// OpenCore prints the drive from which it was started, and the device paths at
// which the firmware has displays. The drive must be the first in the boot
// order, and DeviceProperties must name the path of a display.
func TestFirmwareStartsOpenCore(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("boots firmware for minutes")
	}
	needFirmware(t, "OVMF_CODE_4M.fd", "OVMF_VARS_4M.fd", "OVMF_CODE_4M.secboot.fd")
	turn := make(chan bool, 1)
	for _, l := range slow.Pick(t, 2, loadings(), func(l loading) string { return l.name }) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			turn <- true
			defer func() { <-turn }()
			l.boot(t)
		})
	}
}

func (l loading) boot(t *testing.T) {
	t.Helper()
	all := macOSGoldens()
	config := maps.Clone(all[slices.IndexFunc(all, func(g golden) bool { return g.name == l.golden })].config)
	maps.Copy(config, l.other)
	machine := opencore.Machine{Release: gpu.MacOSSequoia, Card: l.card, VM: config}
	image := l.image(opencoretest.New(opencoretest.Config))
	read, err := opencore.Read(image, int64(len(image)))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := opencore.Configure(read, machine, nil)
	if err != nil {
		t.Fatal(err)
	}
	var disk bytes.Buffer
	if err := opencore.Write(&disk, image, int64(len(image)), plan); err != nil {
		t.Fatal(err)
	}
	config["sata4"] = regexp.MustCompile(`size=\w+`).ReplaceAllString(config["sata4"], fmt.Sprintf("size=%dK", disk.Len()>>10))
	said := boots(t, config, disk.Bytes())
	if started := regexp.MustCompile(opencoretest.Started + `(\S+)`).FindStringSubmatch(said); started == nil || !strings.Contains(started[1], firmwarePath("sata4", config)) {
		t.Errorf("OpenCore was started from %q, want %s; the firmware said\n%s", started, firmwarePath("sata4", config), said)
	}
	displays := regexp.MustCompile(opencoretest.Display+`(\S+)`).FindAllStringSubmatch(said, -1)
	has := func(path string) bool {
		return slices.ContainsFunc(displays, func(d []string) bool { return d[1] == path })
	}
	if machine.Mode() == opencore.NoCard {
		return
	}
	if !has(machine.Path()) {
		t.Errorf("displays are at %q, and the properties name %s", displays, machine.Path())
	}
	if machine.Mode() != opencore.Discrete && !strings.Contains(plan.String(), machine.Path()+" -> AAPL,ig-platform-id") {
		t.Errorf("the plan names no property at %s:\n%s", machine.Path(), plan)
	}
}

// This starts a VM with an image in OpenCore's drive. It returns the text that
// the firmware and the program wrote until the program ended.
func boots(t *testing.T, config map[string]string, image []byte) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "vm") //nolint:usetesting // sockets want short paths, QEMU none with a comma
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	if err := os.WriteFile(filepath.Join(dir, "sata4"), image, 0o600); err != nil {
		t.Fatal(err)
	}
	args, err := guest.Arguments(config, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	said, serial := &guest.Transcript{}, &guest.Transcript{}
	run(ctx, t, said, "qemu-system-x86_64", args...)
	line := dial(ctx, t, dir+"/serial", said)
	began := time.Now()
	for buffer := make([]byte, 256); !strings.Contains(serial.Text(), opencoretest.Ended); {
		n, err := line.Read(buffer)
		_, _ = serial.Write(buffer[:n])
		if err != nil {
			t.Fatalf("%v; QEMU said %q, the firmware\n%s", err, said.Text(), serial.Text())
		}
		if ctx.Err() != nil {
			t.Fatalf("the program did not end; the firmware said\n%s", serial.Text())
		}
	}
	t.Logf("firmware: up in %s", time.Since(began).Round(time.Second))
	return serial.Text()
}
