#!/usr/bin/env bash
# Puts Debian's kernel and the modules the lab loads, in the order in which
# they load, below PROXSTATION_LAB_KERNEL (by default ~/.cache/proxstation/lab).
# Nothing is installed. Needs apt-get, dpkg-deb and kmod.
set -euo pipefail
dir=${PROXSTATION_LAB_KERNEL:-${XDG_CACHE_HOME:-$HOME/.cache}/proxstation/lab}
[ -s "$dir/vmlinuz" ] && [ -s "$dir/modules.list" ] && exit 0
mkdir -p "$dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
apt-get update -qq
package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
(cd "$work" && apt-get download -qq "$package" && dpkg-deb -x ./*.deb tree)
version=$(basename "$work"/tree/lib/modules/*)
PATH=$PATH:/usr/sbin:/sbin
depmod -b "$work/tree" "$version"
rm -rf "$dir/modules" && mkdir -p "$dir/modules"
for module in vfio-pci vfio_iommu_type1 snd-hda-intel bochs e1000 nvme ahci sd_mod virtio_pci virtio_blk xhci_pci usb-storage; do
  modprobe -d "$work/tree" -S "$version" --show-depends "$module"
done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r path; do
  cp "$path" "$dir/modules/"
  basename "$path"
done >"$work/modules.list"
cp "$work/tree/boot/vmlinuz-$version" "$dir/vmlinuz"
cp "$work/modules.list" "$dir/modules.list"
echo "lab: kernel $version in $dir"
