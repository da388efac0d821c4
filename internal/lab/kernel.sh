#!/usr/bin/env bash
# Fetches Debian's kernel for the lab, and puts it and the modules that its
# machines load below PROXSTATION_LAB_KERNEL (by default
# ~/.cache/proxstation/lab). Nothing is installed. Needs apt-get, dpkg and kmod.
set -euo pipefail
modules=(
  vfio-pci vfio_iommu_type1 snd-hda-intel bochs e1000
  nvme ahci sd_mod virtio_pci virtio_blk xhci_pci usb-storage
  dm-thin-pool btrfs ext4
  sr_mod virtio_scsi isofs
)
dir=${PROXSTATION_LAB_KERNEL:-${XDG_CACHE_HOME:-$HOME/.cache}/proxstation/lab}
script=$(readlink -f "$0")
cmp -s "$script" "$dir/made-by" && exit 0 # what it would do is done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
PATH=$PATH:/usr/sbin:/sbin

apt-get update -qq
package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$package" && dpkg-deb -x ./*.deb tree)
version=$(basename "$work"/tree/lib/modules/*)
find "$work/tree/lib/modules" -name '*.ko.xz' -exec xz -d {} +
depmod -b "$work/tree" "$version"

rm -rf "$dir/modules" "$dir/made-by"
mkdir -p "$dir/modules"
for module in "${modules[@]}"; do
  # One line for each: its name, and files in the order in which they load.
  files=$(modprobe -d "$work/tree" -S "$version" --show-depends "$module" | sed -n 's/^insmod \([^ ]*\).*/\1/p')
  printf '%s:' "$module"
  for file in $files; do
    cp "$file" "$dir/modules/"
    printf ' %s' "$(basename "$file")"
  done
  printf '\n'
done >"$dir/modules.list"
cp "$work/tree/boot/vmlinuz-$version" "$dir/vmlinuz"
echo "$version" >"$dir/version"
cp "$script" "$dir/made-by"
echo "lab: kernel $version in $dir"
