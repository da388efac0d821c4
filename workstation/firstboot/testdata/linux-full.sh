#!/bin/sh
# Sets this guest up, once: the guest agent, the disk for models, the driver of
# the card, services. It runs at each boot until everything is done, and leaves
# alone what is done. How far it is, is in /var/lib/proxstation/firstboot.state.
set -u
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
root=''
user='me'
state=$root/var/lib/proxstation/firstboot.state
tries=${state%.state}.boots
mkdir -p "${state%/*}"

# note KEY VALUE keeps what was found, for the report.
found=
note() {
	found="$found$1=$(printf '%s' "$2" | tr '\n\t' '  ')
"
}
# enter PHASE says what is done now; the file is replaced at once and whole.
enter() {
	phase=$1
	printf 'phase=%s\n%s' "$phase" "$found" >"$state.new" && mv "$state.new" "$state"
	echo "== $phase"
}
fail() {
	note failed "$1"
	enter "$phase"
	echo "failed: $1" >&2
	exit 1
}
apt() { apt-get -y -q -o DPkg::Lock::Timeout=900 -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold "$@"; }
installed() { for package in "$@"; do dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || return 1; done; }
updated=
install() {
	installed "$@" && return
	if [ -z "$updated" ]; then
		apt update || fail "the packages' lists could not be fetched: has the guest a network?"
		updated=yes
	fi
	apt install --no-install-recommends "$@" || fail "these packages could not be installed: $*"
}
# reboot_for REASON begins anew with the next boot, but not for ever.
reboot_for() {
	boots=$(cat "$tries" 2>/dev/null || echo 0)
	[ "$boots" -lt 3 ] || fail "$1, and three restarts have not helped"
	echo $((boots + 1)) >"$tries"
	note restart "$1"
	enter "$phase"
	systemctl reboot
	exit 0
}

enter agent
install qemu-guest-agent
# The unit has no [Install] section: udev starts it, and only once the port is there.
systemctl start qemu-guest-agent || fail "the guest agent does not start: the VM needs agent: enabled=1, set while the VM is off"
note agent "$(dpkg-query -W -f '${Version}' qemu-guest-agent)"

enter models
label='models'
mount='/srv/models'
# by-id has the name of the slot, which no other disk has (systemd
# rules.d/60-persistent-storage.rules, qemu-server PVE/QemuServer/DriveDevice.pm).
disk=$root/dev/disk/by-id/scsi-0QEMU_QEMU_HARDDISK_drive-scsi1
udevadm settle --timeout=30
[ -e "$disk" ] || fail "the VM has no disk in scsi1, or it is not a disk of virtio-scsi: $disk does not exist"
# labelled reports whether the disk, or a partition on it, has the label.
labelled() { lsblk -n -o LABEL "$disk" | grep -qFx "$label"; }
# blank reports whether nothing is on the disk: no partition, no signature, and
# no data where file systems and databases begin.
blank() {
	[ "$(lsblk -n -o NAME "$disk" | wc -l)" -eq 1 ] || return 1
	signs=$(wipefs -n "$disk") && [ -z "$signs" ] || return 1
	blkid -p "$disk" >/dev/null
	[ $? -eq 2 ] || return 1
	head -c 1048576 "$disk" | cmp -s -n 1048576 - /dev/zero
}
# count [DISK] prints how many file systems have the label. The disk is mounted
# by its label, so no other disk may have it.
count() { lsblk -n -o LABEL "$@" | grep -cFx "$label"; }
[ "$(count)" -le "$(count "$disk")" ] || fail "another disk has a file system with the label $label, and might be mounted in place of scsi1: it was not touched. Give it another label with e2label, or detach it"
# The disk must not hide files that are in the directory already.
if ! mountpoint -q "$root$mount" && [ -n "$(ls -A "$root$mount" 2>/dev/null)" ]; then
	fail "$mount is not empty, and the disk would hide what is in it: it was not touched. Empty the directory, or take another one"
fi
if labelled; then
	note models kept
elif blank; then
	mkfs.ext4 -q -m 0 -L "$label" "$disk" || fail "the disk in scsi1 could not be formatted"
	udevadm settle --timeout=30
	note models formatted
else
	has=$(lsblk -n -r -o NAME,FSTYPE,LABEL "$disk" | tr '\n' ';')
	fail "the disk in scsi1 is not blank, and has no file system with the label $label: $has it was not touched. To use it as it is, give its file system this label; to have it formatted, empty it: wipefs -a and blkdiscard"
fi
mkdir -p "$root$mount"
# What is written while the disk is away must not fill the system's disk.
mountpoint -q "$root$mount" || chattr +i "$root$mount" 2>/dev/null
# With nofail the boot does not wait for the disk, so the disk may come late.
grep -qs "^LABEL=$label " "$root/etc/fstab" ||
	printf 'LABEL=%s %s auto defaults,nofail,x-systemd.device-timeout=5min 0 2\n' "$label" "$mount" >>"$root/etc/fstab"
systemctl daemon-reload
mountpoint -q "$root$mount" || mount "$root$mount" || fail "the disk in scsi1 cannot be mounted at $mount"
getent group models >/dev/null || groupadd --system models
usermod -a -G models "$user"
for cache in huggingface torch llama.cpp; do
	mkdir -p "$root$mount/$cache"
	chgrp models "$root$mount/$cache" && chmod 2775 "$root$mount/$cache"
done
# Hugging Face, PyTorch and llama.cpp look here for their caches.
for line in "HF_HOME=$mount/huggingface" "TORCH_HOME=$mount/torch" "LLAMA_CACHE=$mount/llama.cpp"; do
	grep -qsFx "$line" "$root/etc/environment" || echo "$line" >>"$root/etc/environment"
done

enter driver
# key_from URL FINGERPRINT FILE fetches a repository's key and trusts no other.
key_from() {
	[ -s "$root$3" ] && return
	install ca-certificates curl gpg
	mkdir -p "$root${3%/*}"
	curl -fsSL --retry 3 -o "$root$3.asc" "$1" || fail "the repository's key could not be fetched from $1"
	got=$(gpg --batch --show-keys --with-colons "$root$3.asc" | awk -F: '$1 == "pub" { pub = 1 } $1 == "fpr" && pub { print $10; pub = 0 }')
	[ "$got" = "$2" ] || fail "the key from $1 is not $2: nothing was installed from there"
	gpg --batch --dearmor <"$root$3.asc" >"$root$3.new" && mv "$root$3.new" "$root$3"
}
# shellcheck source=/dev/null
. "$root/etc/os-release"
case $ID-$VERSION_ID in
ubuntu-24.04 | ubuntu-26.04)
	# Modules that Canonical built and signed for its generic kernels.
	set -- linux-modules-nvidia-580-open-generic linux-headers-generic nvidia-headless-no-dkms-580-open nvidia-utils-580
	;;
debian-12 | debian-13)
	# Debian's own driver is too old for Blackwell. NVIDIA's is built in the guest.
	key_from "https://developer.download.nvidia.com/compute/cuda/repos/debian$VERSION_ID/x86_64/3bf863cc.pub" \
		EB693B3035CD5710E231E123A4B469963BF863CC /usr/share/keyrings/proxstation-nvidia.gpg
	echo "deb [signed-by=/usr/share/keyrings/proxstation-nvidia.gpg] https://developer.download.nvidia.com/compute/cuda/repos/debian$VERSION_ID/x86_64/ /
deb http://deb.debian.org/debian $VERSION_CODENAME contrib" >"$root/etc/apt/sources.list.d/proxstation-driver.list"
	case $(uname -r) in
	*cloud*) headers=linux-headers-cloud-amd64 ;;
	*) headers=linux-headers-amd64 ;;
	esac
	set -- "$headers" nvidia-kernel-open-dkms nvidia-driver-cuda
	secure=$(cat "$root"/sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | od -An -t u1 -j 4 -N 1 | tr -d ' ')
	[ "$secure" != 1 ] || fail "Secure Boot is on, and the kernel would not load a module that is built here: make the VM's efidisk0 with pre-enrolled-keys=0"
	;;
*)
	fail "$ID $VERSION_ID is not known to have a driver for the card: take Ubuntu 24.04 or 26.04, Debian 12 or 13, or name packages in Driver"
	;;
esac
if ! installed "$@"; then
	updated= # the lists lack the repository that has just been added
	install "$@"
fi
if [ ! -e "$root/etc/modprobe.d/proxstation-nouveau.conf" ]; then
	mkdir -p "$root/etc/modprobe.d"
	printf 'blacklist nouveau\noptions nouveau modeset=0\n' >"$root/etc/modprobe.d/proxstation-nouveau.conf"
	update-initramfs -u || fail "the initramfs could not be made anew"
fi
! grep -qs '^nouveau ' "$root/proc/modules" || reboot_for "nouveau holds the card"
modinfo nvidia >/dev/null 2>&1 || reboot_for "the running kernel $(uname -r) has no module of the driver"
note driver "$(modinfo -F version nvidia)"
systemctl enable nvidia-persistenced 2>/dev/null || echo "nvidia-persistenced cannot be enabled" >&2
cards=$(grep -l '^0x10de$' "$root"/sys/bus/pci/devices/*/vendor 2>/dev/null | while read -r vendor; do grep -s '^0x03' "${vendor%/vendor}/class"; done | wc -l)
if [ "$cards" -gt 0 ]; then
	{ modprobe nvidia && nvidia-smi -L; } || reboot_for "the driver does not find the card"
	note card "$(nvidia-smi --query-gpu=name --format=csv,noheader | paste -s -d ',')"
	systemctl start nvidia-persistenced 2>/dev/null || echo "nvidia-persistenced does not start" >&2
fi

enter ollama
sum='0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f'
done=$root/var/lib/proxstation/ollama.sha256
if [ "$(cat "$done" 2>/dev/null)" != "$sum" ]; then
	install ca-certificates curl zstd
	archive=$root/var/tmp/proxstation-ollama
	curl -fsSL --retry 3 -C - -o "$archive" 'https://github.com/ollama/ollama/releases/download/v0.14.0/ollama-linux-amd64.tar.zst' || curl -fsSL -o "$archive" 'https://github.com/ollama/ollama/releases/download/v0.14.0/ollama-linux-amd64.tar.zst' || fail "Ollama could not be fetched"
	echo "$sum  $archive" | sha256sum -c - || {
		rm -f "$archive"
		fail "what was fetched as Ollama has another checksum: it was thrown away"
	}
	tar -C "$root/usr" -x --zstd -f "$archive" || fail "Ollama could not be unpacked"
	rm -f "$archive"
	echo "$sum" >"$done"
fi
id ollama >/dev/null 2>&1 || useradd --system --create-home --home-dir /usr/share/ollama --shell /bin/false ollama
usermod -a -G render,video ollama 2>/dev/null
cat >"$root/etc/systemd/system/ollama.service" <<'UNIT'
[Unit]
Description=Ollama
Wants=network-online.target
After=network-online.target
RequiresMountsFor=/srv/models
AssertPathIsMountPoint=/srv/models

[Service]
ExecStart=/usr/bin/ollama serve
User=ollama
Group=ollama
Restart=always
RestartSec=3
Environment=OLLAMA_MODELS=/srv/models/ollama

[Install]
WantedBy=multi-user.target
UNIT
usermod -a -G models ollama
mkdir -p "$root/srv/models/ollama"
chown -R ollama:models "$root/srv/models/ollama" && chmod 2775 "$root/srv/models/ollama"
{ systemctl enable ollama && systemctl restart ollama; } || fail "Ollama does not start"
note ollama "$(/usr/bin/ollama --version 2>/dev/null | head -n 1)"

enter containers
install docker.io
usermod -a -G docker "$user"
key_from https://nvidia.github.io/libnvidia-container/gpgkey C95B321B61E88C1809C4F759DDCAE044F796ECB0 /usr/share/keyrings/proxstation-container.gpg
if ! installed nvidia-container-toolkit; then
	# shellcheck disable=SC2016 # apt itself puts the architecture in
	echo 'deb [signed-by=/usr/share/keyrings/proxstation-container.gpg] https://nvidia.github.io/libnvidia-container/stable/deb/$(ARCH) /' >"$root/etc/apt/sources.list.d/proxstation-container.list"
	updated=
	install nvidia-container-toolkit
fi
{ nvidia-ctk runtime configure --runtime=docker && systemctl restart docker; } || fail "Docker does not take NVIDIA's runtime"
note docker "$(dpkg-query -W -f '${Version}' docker.io)"

enter "done"
systemctl disable proxstation-firstboot.service
rm -f "$tries"
