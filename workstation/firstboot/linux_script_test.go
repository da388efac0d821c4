package firstboot

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// standIns holds scripts by the names of programs. They replace the programs of
// the guest that change something or query the machine. Each stand-in logs its
// arguments. Some stand-ins print an answer from files in the machine.
var standIns = map[string]string{
	"apt-get": `case "$*" in *install*) for p in "$@"; do case $p in -*|install|DPkg*|Acquire*|Dpkg*) ;; *) echo "$p" >>"$M/installed";; esac; done;; esac`,
	"dpkg-query": `for p in "$@"; do :; done
case "$*" in *Status*) grep -qx "$p" "$M/installed" 2>/dev/null && echo installed;; *) echo 1.0;; esac`,
	"systemctl": `[ ! -e "$M/no-$2" ]`, "udevadm": "", "update-initramfs": "", "chattr": "", "groupadd": "", "usermod": "", "chgrp": "", "mount": `: >"$M/mounted"`,
	"getent": "exit 2", "mountpoint": `[ -e "$M/mounted" ]`, "docker": "", "nvidia-ctk": "", "modprobe": "", "useradd": "", "id": "exit 1", "tar": "", "chown": "",
	"lsblk":      `case "$*" in *LABEL*FSTYPE*) cat "$M/lsblk" ;; *-o\ LABEL\ *) cat "$M/labels" 2>/dev/null ;; *-o\ LABEL) cat "$M/labels" "$M/other-labels" 2>/dev/null ;; *NAME,FSTYPE*) cat "$M/lsblk" 2>/dev/null ;; *) cat "$M/names" 2>/dev/null || echo sdb ;; esac; exit 0`,
	"wipefs":     `cat "$M/wipefs" 2>/dev/null; [ ! -e "$M/no-wipefs" ]`,
	"blkid":      `[ -e "$M/blkid" ] && exit 0; exit 2`,
	"mkfs.ext4":  "",
	"uname":      `cat "$M/kernel" 2>/dev/null || echo 6.12.0-amd64`,
	"modinfo":    `[ -e "$M/no-module" ] && exit 1; echo 580.126`,
	"nvidia-smi": `[ -e "$M/no-card" ] && exit 1; echo "NVIDIA GeForce RTX 5070 Ti"`,
	"curl":       `while [ $# -gt 0 ]; do [ "$1" = -o ] && { mkdir -p "${2%/*}"; echo key >"$2"; }; shift; done`,
	"gpg":        `case "$*" in *show-keys*) echo "pub:x"; echo "fpr:::::::::$(cat "$M/fingerprint" 2>/dev/null || echo EB693B3035CD5710E231E123A4B469963BF863CC):" ;; *) cat ;; esac`,
	"sha256sum":  `cat >/dev/null; [ ! -e "$M/wrong-sum" ]`,
}

// A machine is a directory with the files of a guest, and with the stand-ins.
type machine struct {
	t    *testing.T
	root string
}

func newMachine(t *testing.T, files map[string]string) machine {
	t.Helper()
	m := machine{t, t.TempDir()}
	for name, body := range standIns {
		m.write("bin/"+name, "#!/bin/sh\necho \""+name+" $*\" >>\"$M/log\"\n"+body+"\n", 0o700)
	}
	m.write("etc/os-release", "ID=debian\nVERSION_ID=13\nVERSION_CODENAME=trixie\n", 0o600)
	m.write("dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1", strings.Repeat("\x00", 2<<20), 0o600)
	for name, content := range files {
		m.write(name, content, 0o600)
	}
	return m
}

func (m machine) write(name, content string, mode os.FileMode) {
	m.t.Helper()
	path := filepath.Join(m.root, name)
	if content == "absent" {
		if err := os.Remove(path); err != nil {
			m.t.Fatal(err)
		}
		return
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) read(name string) string {
	data, err := os.ReadFile(filepath.Join(m.root, name))
	if err != nil {
		return ""
	}
	return string(data)
}

// Runs the set-up as a guest does when it boots.
func (m machine) run(g LinuxAI) State {
	m.t.Helper()
	script, err := g.withDefaults().script(m.root)
	if err != nil {
		m.t.Fatal(err)
	}
	cmd := exec.CommandContext(m.t.Context(), "sh", "-c", script)
	cmd.Env = []string{"M=" + m.root, "PATH=" + filepath.Join(m.root, "bin") + ":/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	state, parseErr := ParseState(m.read(LinuxState))
	if parseErr != nil || (err != nil) != (state.Failed != "") {
		m.t.Fatalf("%v, %v, %+v\n%s", err, parseErr, state, out)
	}
	return state
}

// The set-up formats a disk only if nothing is on it.
func TestModelsDiskIsFormattedOnlyIfBlank(t *testing.T) {
	t.Parallel()
	const disk = "dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1"
	for name, test := range map[string]struct {
		files map[string]string
		want  string // the expected report on models, or a part of the expected failure
	}{
		"blank":                  {nil, "formatted"},
		"ours":                   {map[string]string{"labels": "models\n"}, "kept"},
		"ours, on a partition":   {map[string]string{"labels": "\nmodels\n", "names": "sdb\nsdb1\n"}, "kept"},
		"another label":          {map[string]string{"labels": "models2\n", "wipefs": "sdb 0x438 ext4\n", "blkid": "1"}, "not blank"},
		"a file system":          {map[string]string{"wipefs": "sdb 0x0 xfs\n", "blkid": "1", "lsblk": "sdb xfs games\n"}, "sdb xfs games"},
		"known to blkid only":    {map[string]string{"blkid": "1"}, "not blank"},
		"a partition":            {map[string]string{"names": "sdb\nsdb1\n"}, "not blank"},
		"data without signature": {map[string]string{disk: strings.Repeat("\x00", 5000) + "x" + strings.Repeat("\x00", 2<<20)}, "not blank"},
		"wipefs does not work":   {map[string]string{"no-wipefs": "1"}, "not blank"},
		"a full directory":       {map[string]string{"srv/models/model": "1"}, "/srv/models is not empty"},
		"the label twice":        {map[string]string{"other-labels": "models\n"}, "another disk"},
		"ours, and a copy of it": {map[string]string{"labels": "models\n", "other-labels": "models\n"}, "another disk"},
		"no disk":                {map[string]string{disk: "absent"}, "no disk in scsi1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, test.files)
			g := linuxGuest()
			g.Models = &ModelsDisk{Slot: "scsi1"}
			before := m.read(disk)
			state := m.run(g)
			formatted := strings.Contains(m.read("log"), "mkfs")
			if formatted != (test.want == "formatted") || m.read(disk) != before {
				t.Errorf("formatted %v: %s", formatted, m.read("log"))
			}
			if state.Phase == PhaseDone && state.Found["models"] != test.want || state.Phase != PhaseDone && !strings.Contains(state.Failed, test.want) {
				t.Errorf("%s, want %s", state, test.want)
			}
			if state.Phase == PhaseDone {
				if fstab := m.read("etc/fstab"); !strings.HasPrefix(fstab, "LABEL=models /srv/models auto defaults,nofail") || strings.Count(fstab, "\n") != 1 {
					t.Errorf("fstab %q", fstab)
				}
				if !strings.Contains(m.read("etc/environment"), "HF_HOME=/srv/models/huggingface\n") {
					t.Errorf("environment %q", m.read("etc/environment"))
				}
			} else if m.read("etc/fstab") != "" {
				t.Error("a disk that was refused is in fstab")
			}
		})
	}
}

func TestDriverByRelease(t *testing.T) {
	t.Parallel()
	const nouveau = "etc/modprobe.d/proxstation-nouveau.conf"
	card := map[string]string{"sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de\n", "sys/bus/pci/devices/0000:01:00.0/class": "0x030000\n"}
	ubuntu := "ID=ubuntu\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\n"
	for name, test := range map[string]struct {
		files     map[string]string
		installed []string
		says      string // a part of the expected report
		restarts  bool
	}{
		"Ubuntu":                   {map[string]string{"etc/os-release": ubuntu}, []string{"linux-modules-nvidia-580-open-generic", "nvidia-headless-no-dkms-580-open"}, "driver 580.126", false},
		"Debian":                   {nil, []string{"nvidia-kernel-open-dkms", "nvidia-driver-cuda", "linux-headers-amd64"}, "driver 580.126", false},
		"Debian's cloud kernel":    {map[string]string{"kernel": "6.12.0-cloud-amd64\n"}, []string{"linux-headers-cloud-amd64"}, "driver 580.126", false},
		"with the card":            {card, []string{"nvidia-driver-cuda"}, "card NVIDIA GeForce RTX 5070 Ti", false},
		"another release":          {map[string]string{"etc/os-release": "ID=fedora\nVERSION_ID=42\n"}, nil, "fedora 42 is not known", false},
		"Secure Boot":              {map[string]string{"sys/firmware/efi/efivars/SecureBoot-8be4": "\x06\x00\x00\x00\x01"}, nil, "pre-enrolled-keys=0", false},
		"another key":              {map[string]string{"fingerprint": "0000"}, nil, "is not EB693B30", false},
		"nouveau":                  {map[string]string{"proc/modules": "nouveau 2400256 1 - Live\n"}, []string{"nvidia-driver-cuda"}, "restart nouveau", true},
		"another kernel":           {map[string]string{"no-module": "1"}, []string{"nvidia-driver-cuda"}, "has no module", true},
		"no restart helps":         {map[string]string{"no-module": "1", "var/lib/proxstation/firstboot.boots": "3\n"}, []string{"nvidia-driver-cuda"}, "three restarts have not helped", false},
		"the card does not answer": {merged(card, map[string]string{"no-card": "1"}), []string{"nvidia-driver-cuda"}, "does not find the card", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, test.files)
			g := linuxGuest()
			g.NVIDIA = true
			state := m.run(g)
			installed := strings.Fields(m.read("installed"))
			for _, p := range test.installed {
				if !slices.Contains(installed, p) {
					t.Errorf("%s is not installed: %q", p, installed)
				}
			}
			if test.installed == nil && slices.ContainsFunc(installed, func(p string) bool { return strings.Contains(p, "nvidia") }) {
				t.Errorf("%q were installed", installed)
			}
			if !strings.Contains(state.String(), test.says) {
				t.Errorf("%s, want %s", state, test.says)
			}
			if restarts := strings.Contains(m.read("log"), "systemctl reboot"); restarts != test.restarts {
				t.Errorf("restarts %v, want %v", restarts, test.restarts)
			}
			if test.installed != nil && !strings.Contains(m.read(nouveau), "blacklist nouveau") {
				t.Error("nouveau may take the card")
			}
		})
	}
}

func merged(maps ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps {
		for key, value := range m {
			all[key] = value
		}
	}
	return all
}

// A second run of the set-up repeats nothing: it installs no package, downloads
// nothing, makes no file system, and adds no line to a file.
func TestSetUpRunsAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t, nil)
	m.write("etc/systemd/system/.keep", "", 0o600)
	g := fullLinux()
	m.write("fingerprint", "C95B321B61E88C1809C4F759DDCAE044F796ECB0", 0o600)
	if state := m.run(g); !strings.Contains(state.Failed, "EB693B30") {
		t.Fatalf("a key of another repository is trusted: %s", state)
	}
	m.write("fingerprint", "absent", 0)
	m.write("usr/share/keyrings/proxstation-container.gpg", "key", 0o600) // the set-up does not check an installed key, and the stand-in for gpg knows only one fingerprint
	if state := m.run(g); state.Phase != PhaseDone || state.Found["docker"] != "1.0" {
		t.Fatal(state)
	}
	unit := m.read("etc/systemd/system/ollama.service")
	for _, want := range []string{"RequiresMountsFor=/srv/models", "Environment=OLLAMA_MODELS=/srv/models/ollama"} {
		if !strings.Contains(unit, want) {
			t.Errorf("Ollama's unit lacks %s:\n%s", want, unit)
		}
	}
	fstab, environment := m.read("etc/fstab"), m.read("etc/environment")
	m.write("labels", "models\n", 0o600)
	m.write("log", "", 0o600)
	if state := m.run(g); state.Phase != PhaseDone || state.Found["models"] != "kept" {
		t.Error(state)
	}
	if log := m.read("log"); strings.Contains(log, "apt-get") || strings.Contains(log, "curl") || strings.Contains(log, "mkfs") {
		t.Errorf("the second run did it again:\n%s", log)
	}
	if m.read("etc/fstab") != fstab || m.read("etc/environment") != environment {
		t.Error("the second run wrote lines again")
	}
}

func TestOllamaWithAnotherChecksumIsThrownAway(t *testing.T) {
	t.Parallel()
	m := newMachine(t, map[string]string{"wrong-sum": "1"})
	g := linuxGuest()
	g.Ollama = fullLinux().Ollama
	if state := m.run(g); !strings.Contains(state.Failed, "another checksum") || strings.Contains(m.read("log"), "tar ") {
		t.Errorf("%s\n%s", state, m.read("log"))
	}
}
