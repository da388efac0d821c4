# Installs Sunshine and starts it for the user at the screen. Standard input: the
# package's address and its SHA-256. Every line of the report begins with
# "access: ".
set -eu
LC_ALL=C PATH="$PATH:/usr/sbin:/sbin:/usr/bin:/bin"
export LC_ALL PATH
read -r url
read -r want
exec </dev/null

say() { printf 'access: %s\n' "$*"; }
fail() {
	say "error $*"
	exit 1
}
[ "$(id -u)" = 0 ] || fail "must run as root"
session=$(loginctl show-seat seat0 -p ActiveSession 2>/dev/null | sed -n 's/^ActiveSession=//p')
user=$(loginctl show-session "$session" -p Name 2>/dev/null | sed -n 's/^Name=//p') || user=
class=$(loginctl show-session "$session" -p Class 2>/dev/null | sed -n 's/^Class=//p') || class=
[ "$class" = user ] || fail "nobody is logged in at the screen: Sunshine runs as that user"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
curl -fsSL --retry 3 --connect-timeout 30 -o "$tmp/sunshine.deb" "$url" || fail "the package cannot be downloaded"
sum=$(sha256sum "$tmp/sunshine.deb" | cut -d' ' -f1)
[ "$sum" = "$want" ] || fail "the download has SHA-256 $sum"
chmod 755 "$tmp" # apt reads it as the user _apt
DEBIAN_FRONTEND=noninteractive
export DEBIAN_FRONTEND
set -- apt-get install -y -o DPkg::Lock::Timeout=300 "$tmp/sunshine.deb"
"$@" >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && "$@" >/dev/null 2>&1; } || fail "apt-get cannot install the package"
systemctl --user -M "$user@" enable --now sunshine >/dev/null 2>&1 || fail "Sunshine's service does not start for $user"
tries=0
until curl -qsk --max-time 5 -o /dev/null https://localhost:47990/; do
	tries=$((tries + 1))
	[ "$tries" -le 30 ] || fail "Sunshine's web interface does not answer"
	sleep 1
done
say "done"
