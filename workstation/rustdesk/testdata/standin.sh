#!/bin/sh
D='%DIR%' VERSION='%VERSION%' C='%CONFIG%'
mkdir -p "$C"
if [ ! -e "$C/RustDesk.toml" ] && [ ! -e "$D/unregistered" ]; then
	printf "enc_id = '00abc'\npassword = ''\nkey_pair = [\n    [\n    1,\n    2,\n],\n    [3],\n]\nkey_confirmed = true\n\n[keys_confirmed]\nid = true\n\"10.0.0.2:21116\" = true\n" >"$C/RustDesk.toml"
fi
case $VERSION in 1.4.[01]|1.[0-3].*) echo "main start args: $*" >>"$D/rustdesk.log" ;; esac
store() { # RustDesk2.toml as serde writes it
	echo "rendezvous_server = 'rs-ny.rustdesk.com:21116'"
	printf "nat_type = 1\nserial = 0\nunlock_pin = ''\ntrusted_devices = ''\n\n[options]\n"
	for f in "$D"/options/*; do
		[ -e "$f" ] || continue
		v=$(cat "$f")
		case $v in *"'"*) printf "%s = '''%s'''\n" "${f##*/}" "$v" ;; *) printf "%s = '%s'\n" "${f##*/}" "$v" ;; esac
	done
}
mkdir -p "$D/options"
case $1:$# in
--version:1) echo "$VERSION"; exit 0 ;;
--get-id:1)
	cat "$D/id" 2>/dev/null && exit 0
	plain=$(sed -n "s/^id = '\(.*\)'/\1/p" "$C/RustDesk.toml" 2>/dev/null)
	echo "${plain:-123456789}"
	exit 0 ;;
esac
[ ! -e "$D/policy" ] || { echo "Settings are disabled!"; exit 0; }
[ ! -e "$D/unprivileged" ] || { echo "Installation and administrative privileges required!"; exit 0; }
case $1:$# in
--option:2) cat "$D/options/$2" 2>/dev/null; echo ;;
--option:3)
	[ ! -e "$D/deaf-options" ] || exit 0
	if [ -n "$3" ]; then printf %s "$3" >"$D/options/$2"; else rm -f "$D/options/$2"; fi
	store >"$D/RustDesk2.toml"
	cp "$D/RustDesk2.toml" "$C/RustDesk2.toml" ;;
--password:2)
	[ ! -e "$D/refuses" ] || { echo >>"$D/refusals"; echo "Changing permanent password was rejected by daemon"; exit 0; }
	[ ! -e "$D/nosession" ] || { echo "Connection refused (os error 111)"; exit 0; }
	if [ -s "$D/deaf" ]; then sed -i 1d "$D/deaf"; echo "No such file or directory (os error 2)"; exit 0; fi
	if [ "$(cat "$D/password" 2>/dev/null)" != "$2" ]; then printf %s "$2" >"$D/password"; echo >>"$D/passwords"; fi
	echo "Done!" ;;
esac
exit 0
