package guest_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/slow"
	"github.com/proxstation/proxstation/workstation/access"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHW0Sg0Dv1XoPZ5HHq9yqkFr3Kj6n2l0rJ7n3hZ3cQ0a ada@laptop"

// linuxAI returns the set-up that the guest should have. A local repository
// replaces NVIDIA's repository, and the shop offers a stand-in for Ollama.
func linuxAI(h *house, s *shop) firstboot.LinuxAI {
	h.Helper()
	key, err := os.ReadFile(filepath.Join(filepath.Dir(h.disk), "driver.asc"))
	if err != nil {
		h.Fatal(err)
	}
	url, sum := s.tgz("ollama-linux-amd64.tgz", map[string]string{
		"bin/ollama": "#!/bin/sh\ncase $1 in --version) echo ollama version is 0.12.3 ;; serve) exec sleep infinity ;; esac\n"})
	return firstboot.LinuxAI{
		HostName: "linux-ai", User: "ada", Keys: []string{publicKey},
		Models: &firstboot.ModelsDisk{Slot: "scsi1"}, NVIDIA: true,
		Driver: &firstboot.Packages{Repository: "file:/srv/driver ./", Key: string(key), Names: []string{"nvidia-open"}},
		Ollama: &firstboot.Download{URL: url, SHA256: sum},
	}
}

// TestGuests boots a cloud image with a seed, as PVE would start the profile's
// VM. Without PROXSTATION_WHOLE it boots no guest, because each guest takes
// minutes.
func TestGuests(t *testing.T) {
	t.Parallel()
	type guest struct {
		name string
		live func(t *testing.T)
	}
	guests := []guest{{"with a blank disk", blankDisk}, {"with a full disk", fullDisk}}
	for _, g := range slow.Pick(t, 0, guests, func(g guest) string { return g.name }) {
		t.Run(g.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			g.live(t)
			t.Logf("guest: %s, from power-on to the end in %s", g.name, time.Since(began).Round(time.Second))
		})
	}
}

// blankDisk sets up a guest that has blank disks. The guest gets its card at
// the end of the set-up. Afterwards blankDisk tries the checks.
func blankDisk(t *testing.T) {
	t.Helper()
	h, s := newHouse(t), open(t)
	linux := linuxAI(h, s)
	address, err := net.ParseMAC(mac)
	if err != nil {
		t.Fatal(err)
	}
	linux.Network = firstboot.Network{MAC: address, Address: netip.MustParsePrefix("10.0.2.15/24"),
		Gateway: netip.MustParseAddr("10.0.2.2"), DNS: []netip.Addr{netip.MustParseAddr("10.0.2.3")}}
	setup := rustDesk(s)
	report, err := h.install(install.Guest{Linux: &linux, RustDesk: &setup})
	if err != nil {
		t.Fatal(err)
	}
	if report.Found["models"] != "formatted" || report.Found["driver"] != "580.95.05" || report.Found["ollama"] != "ollama version is 0.12.3" {
		t.Errorf("the set-up found %v", report.Found)
	}
	if got := report.RustDesk; got.ID != "1122334455" || !got.Running || got.Version != setup.Package.Version || got.Registered != proxstation.Yes || got.Password != rustdesk.PasswordStored {
		t.Errorf("RustDesk: %+v", got)
	}
	const seen = "firstboot.agent yes, firstboot.driver unknown, firstboot.card yes, firstboot.disk yes, firstboot.rustdesk yes"
	if got := answers(report.Checks); got != seen { // the driver is unknown, because the card is a stand-in and its module is not loaded
		t.Errorf("%s: %v", got, report.Checks)
	}
	if state, _ := h.sim.VM(vmid); state.Config["scsi2"] != "" || state.Config["hostpci0"] == "" {
		t.Errorf("the VM has scsi2 %q and hostpci0 %q in the end", state.Config["scsi2"], state.Config["hostpci0"])
	}
	h.isSetUp()
	h.isVerified(linux.Wanted())

	// If the set-up is repeated, the disk for models and the password stay.
	h.run("echo precious >/srv/models/weights")
	again, err := h.install(install.Guest{Linux: &linux, RustDesk: &setup, Again: true})
	if err != nil || again.Found["models"] != "kept" || len(again.RustDesk.Changed) != 0 || answers(again.Checks) != seen {
		t.Errorf("again: %+v, %v", again, err)
	}
	want := "precious\ncorrect horse battery600\nenabled"
	if got := h.run("cat /srv/models/weights /var/lib/standin/password; stat -c %a /root/.proxstation-rustdesk.sh; systemctl is-enabled rustdesk"); got != want {
		t.Errorf("what there was, RustDesk's password, its script's mode and its service: %q", got)
	}
	read, err := rustdesk.ReadConfig(h.ctx, h.agent, rustdesk.Linux)
	if err != nil || len(rustdesk.Diff(read, rustdesk.Unattended(rustdesk.Server{}, proxstation.Secret{}))) != 0 {
		t.Errorf("RustDesk's options: %+v, %v", read, err)
	}
}

// fullDisk sets up a guest whose set-up fails at first, because the disk for
// models is not blank and a package does not exist. Each failure is reported
// and can be repaired. The data on the disk is kept. The guest has its card
// from its first start. The set-up also sets a language, a keyboard and a time
// zone. At the end fullDisk tries the agent and SSH.
func fullDisk(t *testing.T) {
	t.Helper()
	h := newHouse(t)
	disk := filepath.Join(h.dir, "scsi1")
	before := fill(t, disk)
	linux := linuxAI(h, open(t))
	linux.Keys, linux.Password, linux.Ollama = nil, proxstation.NewSecret("correct horse: ü"), nil
	linux.Language, linux.Keyboard, linux.TimeZone = "de_DE.UTF-8", "de", "Europe/Berlin"
	linux.Driver.Names = append(linux.Driver.Names, "no-such-package")
	wanted := install.Guest{Linux: &linux, Card: install.CardAtOnce}
	_, err := h.install(wanted)
	failed := failure(t, err)
	if !strings.Contains(failed.Why, "not blank") || !strings.Contains(failed.Why, "ext4 data") || !strings.Contains(failed.Log, "failed: the disk in scsi1 is not blank") {
		t.Fatalf("a disk that is not blank: %+v", failed)
	}
	if sum(t, disk) != before {
		t.Error("the disk has changed")
	}
	if volumes, _ := h.node.Observe(h.ctx); strings.Contains(fmt.Sprint(volumes.Pools), "firstboot-") {
		t.Error("the seed is still there, with the password")
	}
	checks, err := firstboot.Verify(h.ctx, h.agent, linux.Wanted())
	if got := answers(checks); err != nil || got != "firstboot.agent yes, firstboot.driver no, firstboot.disk no" {
		t.Errorf("%s: %v, %v", got, checks, err)
	}
	if got := h.run("su ada -c 'sudo -S -p \"\" id -un' 2>/dev/null <<'E'\ncorrect horse: ü\nE"); got != "root" {
		t.Errorf("the password: %q", got)
	}
	if addresses, err := h.agent.Addresses(h.ctx); err != nil || len(addresses) == 0 || addresses[0].String() != "10.0.2.15" {
		t.Errorf("what DHCP gave: %v, %v", addresses, err)
	}

	if got := h.run("cloud-init status --wait | tail -n 1"); got != "status: done" {
		t.Errorf("cloud-init: %q", got)
	}
	local := h.run("grep -v '^#' /etc/default/locale; locale -a | grep de; grep LAYOUT /etc/default/keyboard; readlink -f /etc/localtime; date -d 2026-07-01T12:00Z +%H:%M")
	if local != "LANG=de_DE.UTF-8\nde_DE.utf8\nXKBLAYOUT=\"de\"\n/usr/share/zoneinfo/Europe/Berlin\n14:00" {
		t.Errorf("language, keyboard and time zone: %q", local)
	}

	wanted.Again = true
	h.run("e2label /dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1 models") // the error's text names this command
	_, err = h.install(wanted)
	if failed := failure(t, err); !strings.Contains(failed.Why, "no-such-package") || !strings.Contains(failed.Log, "Unable to locate package no-such-package") {
		t.Errorf("a package that does not exist: %+v", failed)
	}
	h.run("sed -i 's/ no-such-package//' /usr/local/sbin/proxstation-firstboot")
	report, err := h.install(wanted)
	if err != nil || report.Found["models"] != "kept" || h.run("cat /srv/models/thesis") != "precious" {
		t.Errorf("after the repairs: %+v, %v", report, err)
	}
	h.speaks()
	h.hasSSH()
}

// failure returns the error of a failed set-up. It ends the test if the set-up
// did not fail.
func failure(t *testing.T, err error) *install.SetupError {
	t.Helper()
	var failed *install.SetupError
	if !errors.As(err, &failed) || !errors.Is(err, install.ErrSetup) {
		t.Fatalf("want a set-up that failed, got %v", err)
	}
	return failed
}

// fill makes a disk with a file system and a file, and returns the disk's
// checksum.
func fill(t *testing.T, disk string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis"), []byte("precious\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	make := exec.CommandContext(t.Context(), "mke2fs", "-q", "-t", "ext4", "-L", "data", "-d", dir, disk, "1G")
	make.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin:/sbin")
	if out, err := make.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return sum(t, disk)
}

// sum returns the checksum of a file.
func sum(t *testing.T, name string) string {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }() // an error does not matter, because the file was only read
	digest := sha256.New()
	if _, err := io.Copy(digest, file); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", digest.Sum(nil))
}

// answers returns the IDs of the checks with their answers.
func answers(checks []firstboot.Check) string {
	var all []string
	for _, c := range checks {
		all = append(all, c.ID+" "+c.Answer.String())
	}
	return strings.Join(all, ", ")
}

// isVerified checks the guest in three broken states. First the card is
// missing, and another file system is mounted over the disk for models. Then
// this disk and RustDesk are missing. Then nvidia-smi is missing.
func (h *house) isVerified(wanted firstboot.Wanted) {
	h.Helper()
	wanted.RustDesk, wanted.Card = true, true
	for _, c := range []struct{ harm, want, repair string }{
		{"mv /etc/lab-cards /etc/no-cards; mount -t tmpfs none /srv/models",
			"firstboot.agent yes, firstboot.driver unknown, firstboot.card no, firstboot.disk no, firstboot.rustdesk yes",
			"mv /etc/no-cards /etc/lab-cards; umount /srv/models"},
		{"umount /srv/models; systemctl stop rustdesk",
			"firstboot.agent yes, firstboot.driver unknown, firstboot.card yes, firstboot.disk no, firstboot.rustdesk no",
			"mount /srv/models; systemctl start rustdesk"},
		{"mv /usr/bin/nvidia-smi /usr/bin/no-smi",
			"firstboot.agent yes, firstboot.driver unknown, firstboot.card no, firstboot.disk yes, firstboot.rustdesk yes",
			"mv /usr/bin/no-smi /usr/bin/nvidia-smi"},
	} {
		if said := h.run(c.harm); said != "" {
			h.Errorf("%s: %s", c.harm, said)
		}
		checks, err := firstboot.Verify(h.ctx, h.agent, wanted)
		if got := answers(checks); err != nil || got != c.want {
			h.Errorf("after %s: %s: %v, %v", c.harm, got, checks, err)
		}
		if said := h.run(c.repair); said != "" {
			h.Errorf("%s: %s", c.repair, said)
		}
	}
}

// isSetUp checks the results of the set-up in the guest. All commands run in a
// single script, because each start of a program in the guest takes a second.
func (h *house) isSetUp() {
	h.Helper()
	checks := [][2]string{
		{"hostname", "linux-ai"},
		{"getent hosts linux-ai | tr -s ' '", "127.0.1.1 linux-ai linux-ai"},
		{"grep -c ip6-allnodes /etc/hosts", "1"}, // the image already has this line
		{"id -nG ada", "ada sudo models"},
		{"id -nG ollama", "ollama video render models"},
		{"findmnt -n -o FSTYPE,LABEL /srv/models | tr -s ' '", "ext4 models"},
		{"[ \"$(findmnt -n -o SOURCE /srv/models)\" = \"$(readlink -f /dev/disk/by-id/*drive-scsi1)\" ] && echo the disk in scsi1", "the disk in scsi1"},
		{"stat -c '%U %G %a' /srv/models/ollama", "ollama models 2775"},
		{"grep -c '^HF_HOME=/srv/models/huggingface$' /etc/environment", "1"},
		{"cat /home/ada/.ssh/authorized_keys", publicKey},
		{"sudo -u ada sudo -n id -un", "root"}, // sudo prints no warning about the host's name
		{"ip -4 -o address show eth0 | awk '{ print $4 }'", "10.0.2.15/24"},
		{"ip route show default | cut -d' ' -f1-5", "default via 10.0.2.2 dev eth0"},
		{"networkctl status eth0 | awk '$1 == \"DNS:\" { print $2 }'", "10.0.2.3"},
		{"systemctl is-active ollama qemu-guest-agent ssh", "active\nactive\nactive"},
		{"systemctl is-enabled proxstation-firstboot", "disabled"},
		{"cloud-init status", "status: disabled"}, // cloud-init is disabled because the seed is gone; the settings above stay
		{"df --output=size -B1G / | tail -n 1 | tr -d ' '", "8"},
	}
	var script strings.Builder
	for _, c := range checks {
		script.WriteString("{ " + c[0] + "; } 2>&1; echo --\n")
	}
	got := strings.Split(h.run(script.String()), "--")
	for i, c := range checks {
		if i >= len(got) || strings.TrimSpace(got[i]) != c[1] {
			h.Errorf("%s: %q, want %q", c[0], got[min(i, len(got)-1)], c[1])
		}
	}
}

// The method "speaks" calls the methods of [workstation.Agent] with a real
// agent.
func (h *house) speaks() {
	h.Helper()
	if info, err := h.agent.OS(h.ctx); err != nil || info["id"] != "debian" {
		h.Errorf("the system: %v, %v", info, err)
	}
	if addresses, err := h.agent.Addresses(h.ctx); err != nil || len(addresses) == 0 || addresses[0].String() != "10.0.2.15" {
		h.Errorf("the addresses: %v, %v", addresses, err)
	}
	content := "ä\x00\xff\n" + strings.Repeat("0123456789abcdef", 2000)
	if err := h.agent.WriteFile(h.ctx, "/root/file", []byte(content)); err != nil {
		h.Error(err)
	}
	if got, err := h.agent.ReadFile(h.ctx, "/root/file"); err != nil || string(got) != content {
		h.Errorf("a file of %d bytes comes back as %d: %v", len(content), len(got), err)
	}
	if _, err := h.agent.ReadFile(h.ctx, "/root/none"); !errors.Is(err, fs.ErrNotExist) {
		h.Errorf("a file that is not there: %v", err)
	}
	out, err := h.agent.Run(h.ctx, proxstation.GuestCommand{Argv: []string{"/bin/sh", "-c", "cat; echo err >&2; exit 7"}, Input: content})
	if err != nil || out.Code != 7 || out.Stdout != content || out.Stderr != "err\n" {
		h.Errorf("a command: %d, %d bytes, %q, %v", out.Code, len(out.Stdout), out.Stderr, err)
	}
	if out, err := h.agent.Run(h.ctx, proxstation.GuestCommand{Argv: []string{"/bin/sh", "-c", "kill -9 $$"}}); err != nil || out.Signal != 9 {
		h.Errorf("a command that was killed: %+v, %v", out, err)
	}
	if _, err := h.agent.Run(h.ctx, proxstation.GuestCommand{Argv: []string{"/no/such"}}); err == nil {
		h.Error("a program that is not there has run")
	}
}

// hasSSH sets up access by SSH twice, and logs in with the key.
func (h *house) hasSSH() {
	h.Helper()
	h.run("su ada -c 'ssh-keygen -q -t ed25519 -N \"\" -f ~/key'")
	way := access.SSH{User: "ada", Key: h.run("cat /home/ada/key.pub"), KeysOnly: true}
	plan, err := way.Plan(h.ctx, h.agent)
	if err != nil || plan.Empty() {
		h.Fatalf("the plan: %s, %v", plan, err)
	}
	if err := access.Apply(h.ctx, h.agent, way, plan); err != nil {
		h.Fatal(err)
	}
	if plan, err := way.Plan(h.ctx, h.agent); err != nil || !plan.Empty() {
		h.Errorf("the second plan: %s, %v", plan, err)
	}
	fingerprint, err := way.HostKey(h.ctx, h.agent)
	if err != nil {
		h.Error(err)
	}
	got := h.run("ssh-keyscan -t ed25519 127.0.0.1 2>/dev/null >/root/known; ssh-keygen -lf /root/known | cut -d' ' -f2; " +
		"ssh -i /home/ada/key -o UserKnownHostsFile=/root/known ada@127.0.0.1 id -un; " +
		"ssh -o UserKnownHostsFile=/root/known -o PubkeyAuthentication=no -o BatchMode=yes ada@127.0.0.1 id -un")
	if want := fingerprint + "\nada\nada@127.0.0.1: Permission denied (publickey)."; got != want {
		h.Errorf("SSH: %q, want %q", got, want)
	}
}

// rustDesk returns a set-up of RustDesk whose package holds only a stand-in.
func rustDesk(s *shop) rustdesk.Setup {
	s.Helper()
	url, sum := s.deb("rustdesk", "1.4.9", map[string]string{
		"usr/bin/rustdesk":                        standIn(s.T, "1.4.9"),
		"var/lib/standin/id":                      "1122334455\n",
		"usr/lib/systemd/system/rustdesk.service": "[Unit]\nDescription=stand-in\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n",
	})
	config := rustdesk.Unattended(rustdesk.Server{}, proxstation.NewSecret("correct horse battery"))
	return rustdesk.Setup{OS: rustdesk.Linux, Config: &config,
		Package: rustdesk.Package{Version: rustdesk.Version{Major: 1, Minor: 4, Patch: 9}, URL: url, SHA256: sum}}
}
