#!/usr/bin/env bash
# Makes the disk of a Debian cloud guest from Debian's own packages, with what a
# cloud image has and no guest agent: disk.raw below PROXSTATION_LAB_GUEST (by
# default ~/.cache/proxstation/guest), and driver.asc, the key of a repository in
# the guest. The guest needs no network for packages:
#
#   /srv/mirror   stands in for Debian's mirror; its packages are Debian's
#   /srv/driver   stands in for NVIDIA's repository; its package is made here
#
# Must be root. Needs mmdebstrap, debian-archive-keyring, mtools, fdisk,
# e2fsprogs, gpg, gcc. It takes about a minute, once for each text of this script.
set -euo pipefail
dir=${PROXSTATION_LAB_GUEST:-${XDG_CACHE_HOME:-$HOME/.cache}/proxstation/guest}
script=$(readlink -f "$0")
cmp -s "$script" "$dir/made-by" && exit 0 # what it would do is done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/sbin:/sbin
root=$work/root
mkdir -p "$dir" "$work/hooks"

suite=trixie
mirror=http://deb.debian.org/debian
image=(linux-image-cloud-amd64 initramfs-tools lz4 systemd-sysv systemd-boot-efi udev dbus e2fsprogs locales sudo
  cloud-init cloud-guest-utils netplan.io openssh-server curl ca-certificates)
fetched=(qemu-guest-agent zstd) # by the guest itself, from /srv/mirror

# index writes the list of a directory's packages.
index() {
  (cd "$1" && for deb in *.deb; do
    dpkg-deb -f "$deb"
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
  done >Packages)
}

# What runs before the kernel is installed: a small initramfs, which is made once.
# It has the drivers of CDs as cloud images' have: cloud-init looks for its seed
# before the root's modules are loaded. It has no udev, because the modules are
# known; udev's hook would also have brought blkid.
cat >"$work/hooks/before" <<'EOF'
mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/etc/initramfs-tools/hooks"
printf '#!/bin/sh\n[ "$1" = prereqs ] && exit\n. /usr/share/initramfs-tools/hook-functions\ncopy_exec /sbin/blkid\n' >"$1/etc/initramfs-tools/hooks/blkid"
chmod 755 "$1/etc/initramfs-tools/hooks/blkid"
printf 'MODULES=list\nCOMPRESS=lz4\n' >"$1/etc/initramfs-tools/conf.d/lab"
printf 'virtio_pci\nvirtio_scsi\nahci\nsd_mod\nsr_mod\next4\n' >"$1/etc/initramfs-tools/modules"
EOF
# What runs in the end: the packages that the guest will install.
cat >"$work/hooks/after" <<EOF
chroot "\$1" apt-get clean
chroot "\$1" apt-get install -qq --download-only --no-install-recommends ${fetched[*]}
mkdir "\$1/srv/mirror"
mv "\$1"/var/cache/apt/archives/*.deb "\$1/srv/mirror/"
EOF
# An emulated processor spends seconds on parts that the tests do not need: the
# list of all hardware, modules of devices that the guest lacks, self-tests.
exclude=()
for path in doc man locale; do exclude+=(--dpkgopt="path-exclude=/usr/share/$path/*"); done
exclude+=(--dpkgopt='path-exclude=/usr/lib/modules/*/kernel/*') # but for these:
for path in crypto drivers/{ata,cdrom,char/virtio_console,net/net_failover,net/virtio_net,scsi,virtio} fs/{autofs,ext4,isofs,jbd2,mbcache,nls} lib net/core; do
  exclude+=(--dpkgopt="path-include=/usr/lib/modules/*/kernel/$path*")
done
exclude+=(--dpkgopt='path-exclude=/usr/share/initramfs-tools/hooks/udev' --dpkgopt='path-exclude=/usr/share/initramfs-tools/scripts/*/udev')
exclude+=(--dpkgopt='path-exclude=/usr/lib/udev/hwdb.d/*' --dpkgopt=force-unsafe-io)
mmdebstrap --quiet --mode=root --variant=minbase "${exclude[@]}" \
  --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Languages "none"' \
  --essential-hook="sh $work/hooks/before \"\$1\"" --customize-hook="sh $work/hooks/after \"\$1\"" \
  --include="$(IFS=,; echo "${image[*]}")" "$suite" "$root" "$mirror"
kernel=$(basename "$root"/usr/lib/modules/*)

# The stand-in for NVIDIA's driver: a module that can be read and not loaded, and
# nvidia-smi, which lists the cards in /etc/lab-cards.
driver=$work/nvidia-open
mkdir -p "$driver/DEBIAN" "$driver/etc" "$driver/usr/bin" "$driver/usr/lib/modules/$kernel/updates" "$driver/usr/lib/systemd/system" "$root/srv/driver"
printf 'Package: nvidia-open\nVersion: 580.95.05-1\nArchitecture: amd64\nMaintainer: lab\nDescription: stand-in\n' >"$driver/DEBIAN/control"
printf '#!/bin/sh\nexec depmod -a %s\n' "$kernel" >"$driver/DEBIAN/postinst"
printf '.section .modinfo,"a"\n.asciz "version=580.95.05"\n.asciz "license=Dual MIT/GPL"\n.asciz "vermagic=%s SMP preempt mod_unload modversions "\n' "$kernel" |
  gcc -c -x assembler -o "$driver/usr/lib/modules/$kernel/updates/nvidia.ko" -
echo 'NVIDIA GeForce RTX 5070 Ti,580.95.05' >"$driver/etc/lab-cards"
cat >"$driver/usr/bin/nvidia-smi" <<'EOF'
#!/bin/sh
[ -s /etc/lab-cards ] || { echo "No devices were found"; exit 6; }
while IFS=, read -r name version; do
	case "$*" in
	-L) echo "GPU 0: $name" ;;
	*--query-gpu=name,driver_version*) echo "$name, $version" ;;
	*--query-gpu=name*) echo "$name" ;;
	esac
done </etc/lab-cards
EOF
printf '[Unit]\nDescription=stand-in\n[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n' >"$driver/usr/lib/systemd/system/nvidia-persistenced.service"
chmod 755 "$driver/DEBIAN/postinst" "$driver/usr/bin/nvidia-smi"
dpkg-deb --root-owner-group -Znone --build "$driver" "$root/srv/driver/" >/dev/null
index "$root/srv/mirror"
index "$root/srv/driver"
export GNUPGHOME=$work/gnupg
mkdir -m 700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'lab <lab@example.com>' ed25519 sign never
printf 'Origin: lab\nDate: %s\nSHA256:\n %s %s Packages\n' "$(LC_ALL=C date -uR)" "$(sha256sum "$root/srv/driver/Packages" | cut -d' ' -f1)" \
  "$(stat -c %s "$root/srv/driver/Packages")" | gpg --batch --quiet --clearsign >"$root/srv/driver/InRelease"
gpg --batch --armor --export >"$dir/driver.asc"
gpgconf --kill all

# The guest's own files.
echo 'deb [trusted=yes] file:/srv/mirror ./' >"$root/etc/apt/sources.list"
echo 'LABEL=root / ext4 errors=remount-ro 0 1' >"$root/etc/fstab"
: >"$root/etc/machine-id"
echo localhost >"$root/etc/hostname"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*
# The boot loader has its own copy of the initramfs, and nobody would read another.
sed -i 's/^update_initramfs=.*/update_initramfs=no/' "$root/etc/initramfs-tools/update-initramfs.conf"
# cloud-init runs only the modules for which a seed has settings; another module
# would write Debian's mirror into sources.list. The other modules, and the units
# that are masked, take long on an emulated processor and change nothing that is
# tested.
cat >"$root/etc/cloud/cloud.cfg.d/90_lab.cfg" <<'EOF'
cloud_init_modules: [write-files, growpart, resizefs, set_hostname, update_hostname, update_etc_hosts, users-groups, ssh]
cloud_config_modules: [locale, set-passwords, timezone, runcmd]
cloud_final_modules: [scripts-user]
ssh_genkeytypes: [ed25519]
locale: false
EOF
for unit in apt-daily{,-upgrade}.timer dev-hugepages.mount dev-mqueue.mount dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer \
  getty@tty1.service ldconfig.service modprobe@{drm,efi_pstore,fuse}.service proc-sys-fs-binfmt_misc.automount sys-fs-fuse-connections.mount \
  kmod-static-nodes.service modprobe@configfs.service run-lock.mount serial-getty@ttyS0.service sys-kernel-{config,debug,tracing}.mount \
  systemd-{ask-password-console,ask-password-wall}.path systemd-{creds,initctl,sysext}.socket \
  systemd-{binfmt,hwdb-update,journal-catalog-update,modules-load,networkd-persistent-storage,pcrmachine,pstore,sysusers}.service \
  systemd-{tmpfiles-setup-dev-early,tpm2-setup,tpm2-setup-early,udev-load-credentials,update-done}.service; do
  ln -sf /dev/null "$root/etc/systemd/system/$unit"
done
# systemd runs all generators at each reload, and each package with a unit causes
# reloads.
mkdir -p "$root/etc/systemd/system-generators"
for generator in debug getty gpt-auto hibernate-resume rc-local run ssh system-update sysv tpm2; do
  ln -sf /dev/null "$root/etc/systemd/system-generators/systemd-$generator-generator"
done
# udev looks at the devices that a guest of these tests has, and not at every
# terminal and every object of ACPI.
mkdir -p "$root/etc/systemd/system/systemd-udev-trigger.service.d"
printf '[Service]\nExecStart=\nExecStart=udevadm trigger --action=add%s\n' "$(printf ' --subsystem-match=%s' block net pci scsi virtio virtio-ports)" \
  >"$root/etc/systemd/system/systemd-udev-trigger.service.d/lab.conf"

# The disk: the boot loader on an EFI system partition, and the root last, so
# that it can grow. No loop device and no mount is needed.
esp=$work/esp.img
mib=64
mformat -i "$esp" -C -F -v ESP -T $((mib * 2048)) -h 64 -s 32 -H 0 ::
mmd -i "$esp" ::EFI ::EFI/BOOT ::loader ::loader/entries
printf 'timeout 0\n' >"$work/loader.conf"
printf 'title Debian\nlinux /vmlinuz\ninitrd /initrd\noptions root=LABEL=root ro console=ttyS0 quiet mitigations=off no_timer_check cryptomgr.notests lsm=capability systemd.gpt_auto=0\n' >"$work/debian.conf"
mcopy -i "$esp" "$root/usr/lib/systemd/boot/efi/systemd-bootx64.efi" ::EFI/BOOT/BOOTX64.EFI
mcopy -i "$esp" "$root/boot/vmlinuz-$kernel" ::vmlinuz
mcopy -i "$esp" "$root/boot/initrd.img-$kernel" ::initrd
mcopy -i "$esp" "$work/loader.conf" ::loader/loader.conf
mcopy -i "$esp" "$work/debian.conf" ::loader/entries/debian.conf
rm -f "$dir/made-by" "$dir/disk.raw"
truncate -s $((mib + 1536 + 2))M "$dir/disk.raw"
printf 'label: gpt\nstart=2048, size=%d, type=uefi\nstart=%d, size=%d, type=linux\n' \
  $((mib * 2048)) $(((mib + 1) * 2048)) $((1536 * 2048)) | sfdisk -q "$dir/disk.raw"
dd if="$esp" of="$dir/disk.raw" bs=1M seek=1 conv=notrunc,sparse status=none
mke2fs -q -t ext4 -L root -d "$root" -E offset=$(((mib + 1) << 20)) "$dir/disk.raw" 1536M
cp "$script" "$dir/made-by"
echo "lab: Debian $suite with Linux $kernel in $dir"
