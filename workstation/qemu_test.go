package workstation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/internal/lab/guest"
	"github.com/proxstation/proxstation/internal/slow"
)

// TestFirmware gives the machine, the drives and the devices of each golden to
// a real QEMU with OVMF. It waits until the firmware has tried every drive in
// boot order and shows its shell. With Secure Boot, the firmware refuses the
// shell.
func TestFirmware(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("boots firmware for minutes")
	}
	for _, file := range []string{"qemu-system-x86_64", "swtpm", filepath.Join(guest.OVMF, "OVMF_CODE_4M.secboot.fd"), filepath.Join(guest.OVMF, "OVMF_VARS_4M.ms.fd")} {
		_, err := exec.LookPath(file)
		if filepath.IsAbs(file) {
			_, err = os.Stat(file)
		}
		switch {
		case err != nil && os.Getenv("PROXSTATION_LAB") == "required":
			t.Fatal(err)
		case err != nil:
			t.Skip("no firmware is booted: ", err)
		}
	}
	turn := make(chan bool, 3) // three at once, because a machine spends a third of its time waiting
	all := slices.Concat(macOSGoldens(), goldens())
	for _, g := range slow.Pick(t, 2, all, func(g golden) string { return g.name }) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			turn <- true
			defer func() { <-turn }()
			began := time.Now()
			m := power(t, g.config)
			m.check(t, g.config)
			t.Logf("firmware: up in %s", time.Since(began).Round(time.Second))
		})
	}
}

// A booted is a machine whose firmware is up.
type booted struct {
	qmp     *json.Decoder
	monitor net.Conn
	serial  *guest.Transcript
}

// This starts QEMU for a configuration, waits until the firmware is up, and has
// the firmware's shell list all drives.
func power(t *testing.T, config map[string]string) *booted {
	t.Helper()
	dir, err := os.MkdirTemp("", "vm") //nolint:usetesting // sockets want short paths, QEMU none with a comma
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	t.Cleanup(cancel)
	said := &guest.Transcript{}
	if config["tpmstate0"] != "" {
		run(ctx, t, said, "swtpm", "socket", "--tpm2", "--tpmstate", "dir="+dir, "--ctrl", "type=unixio,path="+dir+"/tpm")
		wait(ctx, t, dir+"/tpm", said)
	}
	arguments, err := guest.Arguments(config, dir, "")
	if err != nil {
		t.Fatal(err)
	}
	run(ctx, t, said, "qemu-system-x86_64", arguments...)
	m := &booted{monitor: dial(ctx, t, dir+"/qmp", said), serial: &guest.Transcript{}}
	m.qmp = json.NewDecoder(m.monitor)
	m.ask(t, "qmp_capabilities", nil, nil)
	serial := dial(ctx, t, dir+"/serial", said)
	go func() { _, _ = io.Copy(m.serial, serial) }()
	await := func(sign string, times int) {
		for strings.Count(m.serial.Text(), sign) < times {
			select {
			case <-ctx.Done():
				t.Fatalf("no %q; QEMU said %q, the firmware\n%s", sign, said.Text(), m.serial.Text())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	if secureBoot(config) { // Secure Boot refuses the shell
		await("Press any key to enter the Boot Manager Menu", 1)
		return m
	}
	await("Shell>", 1) // the shell waits five seconds for a key that skips its script
	for i, command := range []string{"connect -r\r", "map -r\r"} {
		if _, err := io.WriteString(serial, command); err != nil {
			t.Fatal(err)
		}
		await("Shell>", i+2)
	}
	return m
}

// run starts a program that is ended together with the test.
func run(ctx context.Context, t *testing.T, said *guest.Transcript, name string, args ...string) {
	t.Helper()
	command := exec.CommandContext(ctx, name, args...)
	command.Stdout, command.Stderr = said, said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

// wait waits until a program listens on a socket. The file of the socket
// appears a moment before the socket accepts connections. /proc/net/unix marks
// a listening socket with __SO_ACCEPTCON (the kernel's net/unix/af_unix.c).
func wait(ctx context.Context, t *testing.T, path string, said *guest.Transcript) {
	t.Helper()
	listens := regexp.MustCompile(`(?m)^\S+: \S+ \S+ 00010000 .* ` + regexp.QuoteMeta(path) + `$`)
	for {
		sockets, err := os.ReadFile("/proc/net/unix")
		if err != nil {
			t.Fatal(err)
		}
		if listens.Match(sockets) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("nothing listens on %s: %s", path, said.Text())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func dial(ctx context.Context, t *testing.T, path string, said *guest.Transcript) net.Conn {
	t.Helper()
	short, cancel := context.WithTimeout(ctx, 30*time.Second) // QEMU reports an invalid command line immediately
	defer cancel()
	wait(short, t, path, said)
	connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		t.Fatalf("%v; QEMU said %s", err, said.Text())
	}
	t.Cleanup(func() { _ = connection.Close() })
	return connection
}

// ask sends a command to QEMU's monitor and waits for the result.
func (m *booted) ask(t *testing.T, command string, arguments map[string]any, answer any) {
	t.Helper()
	request := map[string]any{"execute": command}
	if arguments != nil {
		request["arguments"] = arguments
	}
	if err := json.NewEncoder(m.monitor).Encode(request); err != nil {
		t.Fatal(err)
	}
	for {
		var message struct {
			Return json.RawMessage
			Error  json.RawMessage
		}
		err := m.qmp.Decode(&message)
		switch {
		case err == nil && message.Return == nil && message.Error == nil: // the message is the greeting or an event
		case err == nil && message.Error == nil && answer == nil:
			return
		case err == nil && message.Error == nil:
			if err := json.Unmarshal(message.Return, answer); err != nil {
				t.Fatalf("%s: %v", command, err)
			}
			return
		default:
			t.Fatalf("%s: %v", command, errors.Join(err, errors.New(string(message.Error))))
		}
	}
}

// A pciDevice is a device as QEMU's monitor reports it.
type pciDevice struct {
	Bus, Slot, Function int
	ID                  string              `json:"qdev_id"`
	Class               struct{ Class int } `json:"class_info"`
	Regions             []struct {
		Bar     int
		Address int64
	}
	Bridge struct{ Devices []pciDevice } `json:"pci_bridge"`
}

// check compares the devices and drives that the firmware found with the
// configuration.
func (m *booted) check(t *testing.T, config map[string]string) {
	t.Helper()
	var buses []struct{ Devices []pciDevice }
	m.ask(t, "query-pci", nil, &buses)
	devices := map[string]pciDevice{}
	var walk func(list []pciDevice)
	walk = func(list []pciDevice) {
		for _, d := range list {
			devices[d.ID] = d
			for _, r := range d.Regions {
				if r.Bar < 6 && r.Address <= 0 && d.ID != "" { // region 6 is a ROM, which the firmware reads and then unmaps
					t.Errorf("the firmware gave %s no address for its region %d", d.ID, r.Bar)
				}
			}
			walk(d.Bridge.Devices)
		}
	}
	for _, b := range buses {
		walk(b.Devices)
	}
	m.checkCard(t, config, devices)
	m.checkDrives(t, config)
	for key, id := range map[string]string{"net0": "net0", "agent": "qga0", "usb0": "xhci", "audio0": "audiodev0", "scsi0": "virtioscsi0", "scsi1": "virtioscsi1"} {
		if _, there := devices[id]; config[key] != "" && !there {
			t.Errorf("there is no PCI device %s for %s", id, key)
		}
	}
	if strings.Contains(config["args"], "mac-xhci") && devices["mac-xhci"].ID == "" {
		t.Error("there is no controller for the keyboard that macOS sees")
	}
	var tpms []struct{ Model string }
	if m.ask(t, "query-tpm", nil, &tpms); (config["tpmstate0"] != "") != (len(tpms) == 1) {
		t.Errorf("the TPMs are %v", tpms)
	}
}

// checkCard checks that the card is at the address that the guest's drivers
// expect, and that the display shows the firmware's picture.
func (m *booted) checkCard(t *testing.T, config map[string]string, devices map[string]pciDevice) {
	t.Helper()
	card, there := devices["hostpci0"]
	if first, several := devices["hostpci0.0"]; several {
		card, there = first, true
		if sound := devices["hostpci0.1"]; sound.Bus != card.Bus || sound.Slot != card.Slot || sound.Function != 1 {
			t.Errorf("the card's sound is at %02x:%02x.%x", sound.Bus, sound.Slot, sound.Function)
		}
	}
	value := config["hostpci0"]
	if there != (value != "") {
		t.Fatalf("hostpci0: %s; there is one: %v", value, there)
	}
	behindPort := card.Bus > 0 && card.Slot == 0 && card.Function == 0
	onRoot := card.Bus == 0 && card.Slot == 2 && card.Function == 0
	if there && (strings.Contains(value, "pcie=1") && !behindPort || strings.Contains(value, "igpu") && !onRoot) {
		t.Errorf("the card is at %02x:%02x.%x", card.Bus, card.Slot, card.Function)
	}
	display := "vga"
	if config["vga"] == "none" {
		display = card.ID
	}
	picture := filepath.Join(t.TempDir(), "picture")
	m.ask(t, "screendump", map[string]any{"filename": picture, "device": display}, nil)
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	header, pixels, _ := strings.Cut(string(data), "\n255\n") // the picture is in PPM format
	if pixels == "" || strings.Count(pixels, pixels[:3])*3 == len(pixels) {
		t.Errorf("the firmware draws nothing on %s: %s, one colour", display, header)
	}
}

// checkDrives checks that the firmware tried the drives in boot order, and that
// the shell's mappings list every drive.
func (m *booted) checkDrives(t *testing.T, config map[string]string) {
	t.Helper()
	text := m.serial.Text()
	tried := regexp.MustCompile(`failed to load Boot\w+ ".*" from (PciRoot\S*): `).FindAllStringSubmatch(text, -1)
	order := strings.Split(strings.TrimPrefix(config["boot"], "order="), ";")
	for i, key := range order {
		if len(tried) != len(order) || !strings.HasSuffix(tried[i][1], firmwarePath(key, config)) {
			t.Fatalf("the firmware tried %q, want %s", tried, config["boot"])
		}
	}
	if secureBoot(config) != strings.Contains(text, "Security Violation") {
		t.Errorf("Secure Boot refused the shell: %v", !secureBoot(config))
	}
	_, mappings, _ := strings.Cut(text, "map -r")
	for key, value := range config {
		if path := firmwarePath(key, config); !secureBoot(config) && !strings.Contains(mappings, path) {
			t.Errorf("the firmware has no %s (%s) at %s:\n%s", key, value, path, mappings)
		}
	}
}

func secureBoot(config map[string]string) bool {
	return strings.Contains(config["efidisk0"], "pre-enrolled-keys=1")
}

var driveKey = regexp.MustCompile(`^(virtio|scsi|sata|ide)(\d+)$`)

// firmwarePath returns the end of a drive's device path (UEFI specification,
// Text Device Node Reference). It returns "" for a key that is not a drive. It
// also returns "" for scsi1 and above. PVE gives each of these drives a
// controller of its own, with the drive's number as LUN. OVMF sees no LUN on a
// controller without LUN 0, but the driver of an operating system does.
func firmwarePath(key string, config map[string]string) string {
	match := driveKey.FindStringSubmatch(key)
	if match == nil {
		return ""
	}
	n, _ := strconv.Atoi(match[2])
	switch match[1] {
	case "virtio":
		return fmt.Sprintf("/Pci(0x%X,0x0)", 10+n)
	case "scsi":
		if n > 0 {
			return ""
		}
		return "/Pci(0x1,0x0)/Scsi(0x0,0x0)"
	case "sata":
		return fmt.Sprintf("/Pci(0x7,0x0)/Sata(0x%X,0xFFFF,0x0)", n)
	}
	if strings.Contains(config["machine"], "q35") {
		return fmt.Sprintf("/Pci(0x1F,0x2)/Sata(0x%X,0xFFFF,0x0)", n/2+2*(n%2))
	}
	return fmt.Sprintf("/Pci(0x1,0x1)/Ata(%s,%s,0x0)", []string{"Primary", "Secondary"}[n/2], []string{"Master", "Slave"}[n%2])
}
