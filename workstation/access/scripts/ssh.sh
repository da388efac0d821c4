# Sets up the OpenSSH server. Standard input: the steps to do, in one line; the
# user; the key. Every line of the report begins with "access: ".
set -eu
LC_ALL=C PATH="$PATH:/usr/sbin:/sbin:/usr/bin:/bin"
export LC_ALL PATH
read -r steps || steps=
read -r user || user=
IFS= read -r key || key=
exec </dev/null

say() { printf 'access: %s\n' "$*"; }
fail() {
	say "error $*"
	exit 1
}
answer() { if "$@" >/dev/null 2>&1; then echo yes; else echo no; fi; }

install_server() {
	if command -v apt-get >/dev/null 2>&1; then
		DEBIAN_FRONTEND=noninteractive
		export DEBIAN_FRONTEND
		set -- apt-get install -y -o DPkg::Lock::Timeout=300 openssh-server
		"$@" >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && "$@" >/dev/null 2>&1; }
	elif command -v dnf >/dev/null 2>&1; then
		dnf install -y openssh-server >/dev/null 2>&1
	elif command -v zypper >/dev/null 2>&1; then
		zypper --non-interactive install openssh-server >/dev/null 2>&1
	else
		pacman -S --noconfirm --needed openssh >/dev/null 2>&1
	fi
}

# unit prints the service's name, which is ssh on Debian and sshd elsewhere.
unit() { if systemctl cat ssh.service >/dev/null 2>&1; then echo ssh; else echo sshd; fi; }

# running: by the service, or by the socket that starts it.
running() {
	for name in "$(unit).service" ssh.socket sshd.socket; do
		if systemctl is-active --quiet "$name" && systemctl is-enabled --quiet "$name"; then return 0; fi
	done
	return 1
}

keys=
has_key() { runuser -u "$user" -- grep -qxF -e "$key" "$keys"; }
add_key() {
	# shellcheck disable=SC2016 # the inner shell expands it, as the user
	runuser -u "$user" -- /bin/sh -c 'umask 077 && mkdir -p "${2%/*}" && printf "\n%s\n" "$1" >>"$2"' sh "$key" "$keys"
}

refuse_passwords() {
	file=/etc/ssh/sshd_config.d/10-proxstation.conf
	mkdir -p "${file%/*}"
	printf 'PasswordAuthentication no\nKbdInteractiveAuthentication no\n' >"$file"
	if ! sshd -t >/dev/null 2>&1; then
		rm -f "$file"
		fail "sshd does not take $file"
	fi
	systemctl reload "$(unit)" >/dev/null 2>&1 || systemctl try-restart "$(unit)" >/dev/null 2>&1
}

[ "$(id -u)" = 0 ] || fail "must run as root"
home=$(getent passwd "$user" | cut -d: -f6) || home=
say "user $(answer test -n "$home")"
keys=$home/.ssh/authorized_keys
for step in $steps; do
	case $step in
	install) install_server || fail "the OpenSSH server cannot be installed" ;;
	enable) systemctl enable --now "$(unit)" >/dev/null 2>&1 || fail "the service $(unit) does not start" ;;
	key) add_key || fail "cannot write $keys" ;;
	passwords) refuse_passwords ;;
	*) fail "no such step: $step" ;;
	esac
done
say "installed $(answer command -v sshd)"
say "running $(answer running)"
[ -z "$key" ] || say "key $(answer has_key)"
say "passwords $(sshd -T 2>/dev/null | sed -n 's/^passwordauthentication //p')"
say "hostkey $(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub 2>/dev/null | cut -d' ' -f2)"
say "done"
