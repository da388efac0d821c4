#!/bin/sh
# Sets this guest up, once: the guest agent, the disk for models, the driver of
# the card, services. It runs at each boot until everything is done, and leaves
# alone what is done. How far it is, is in /var/lib/proxstation/firstboot.state.
set -u
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
root=''
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

enter "done"
systemctl disable proxstation-firstboot.service
rm -f "$tries"
