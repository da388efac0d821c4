package firstboot

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// These patterns match the values that the guest's own programs accept. If a
// program refused a value, the set-up would stop, and nobody would notice.
var (
	dnsLabel    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)             // RFC 1123 section 2.1, lower case
	instanceID  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)               // the name of a directory in /var/lib/cloud/instances
	loginName   = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)                         // Debian adduser.conf NAME_REGEX, useradd(8)
	localeName  = regexp.MustCompile(`^(C|[a-z]{2,3}(_[A-Z]{2})?)\.UTF-8$`)              // locale.gen(5), SUPPORTED
	layoutName  = regexp.MustCompile(`^[a-z]{2,16}$`)                                    // xkeyboard-config(7)
	zoneName    = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,2}$`) // tzdata, theory.html
	scsiSlot    = regexp.MustCompile(`^scsi(\d{1,2})$`)                                  // qemu-server PVE/QemuServer/Drive.pm
	ext4Label   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,16}$`)                           // mke2fs(8) -L; fstab allows no blanks
	mountPath   = regexp.MustCompile(`^(/[A-Za-z0-9_-][A-Za-z0-9._-]*){1,8}$`)           // fstab and units allow no blanks
	debianName  = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)                           // Debian policy 5.6.1
	repoLine    = regexp.MustCompile(`^(https?|file)://?[A-Za-z0-9._~%:/+-]+( [A-Za-z0-9._/+-]+)+$`)
	sshKeyType  = regexp.MustCompile(`^(ssh-(rsa|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$`)
	base64Text  = regexp.MustCompile(`^[A-Za-z0-9+/]{60,}={0,2}$`)
	downloadURL = regexp.MustCompile(`^https?://[A-Za-z0-9._~%:/+-]+$`)
	// Names that a login cannot have. A login gets a group of its own name, so
	// useradd refuses the name of an existing group (Debian base-passwd
	// group.master; packages of cloud images).
	systemLogins = []string{"root", "daemon", "bin", "sys", "sync", "games", "man", "lp", "mail", "news", "uucp", "proxy",
		"www-data", "backup", "list", "irc", "nobody", "_apt", "ollama", "docker", "sudo", "adm", "models",
		"tty", "disk", "kmem", "dialout", "fax", "voice", "cdrom", "floppy", "tape", "audio", "dip", "operator", "src", "shadow",
		"utmp", "video", "sasl", "plugdev", "staff", "users", "nogroup", "input", "sgx", "clock", "kvm", "render", "crontab", "netdev", "lxd",
		"messagebus", "sshd", "syslog", "tss", "uuidd", "tcpdump", "landscape", "pollinate", "polkitd", "ssl-cert", "rdma"}
)

// maxPassword is the greatest number of characters in a password. crypt(3) of
// glibc and libxcrypt takes 512 bytes (CRYPT_MAX_PASSPHRASE_SIZE), and a
// character has up to 4 bytes.
const maxPassword = 128

func (g LinuxAI) check() error {
	var f fields
	f.want(dnsLabel.MatchString(g.HostName), "HostName", "%q is not a host name: want 1 to 63 of a-z, 0-9 and -, no - at the ends", g.HostName)
	f.want(instanceID.MatchString(g.Instance), "Instance", "%q: want 1 to 128 of letters, digits, . _ and -, a letter or digit first", g.Instance)
	f.want(loginName.MatchString(g.User), "User", "%q is not a login: want a-z or _ first, then at most 31 of a-z, 0-9, _ and -", g.User)
	f.want(!slices.Contains(systemLogins, g.User), "User", "%q is a login or a group of the system", g.User)
	f.want(len(g.Keys) > 0 || !g.Password.IsZero(), "Keys", "nobody could log in without a key or a password")
	f.password("Password", g.Password, maxPassword)
	for i, key := range g.Keys {
		if why := wrongKey(key); why != "" {
			f.add(fmt.Sprintf("Keys[%d]", i), "%s", why)
		}
	}
	f.want(g.Language == "" || localeName.MatchString(g.Language), "Language", "%q is not a locale with UTF-8, such as en_US.UTF-8", g.Language)
	f.want(g.Keyboard == "" || layoutName.MatchString(g.Keyboard), "Keyboard", "%q is not a layout such as us or de", g.Keyboard)
	f.want(g.TimeZone == "" || zoneName.MatchString(g.TimeZone), "TimeZone", "%q is not a time zone such as Europe/Berlin", g.TimeZone)
	g.Network.check(&f)
	if g.Models != nil {
		g.Models.check(&f)
	}
	g.checkPackages(&f)
	return f.err()
}

func (g LinuxAI) checkPackages(f *fields) {
	if g.Driver != nil {
		f.want(g.NVIDIA, "Driver", "it is set, but NVIDIA is not set: set NVIDIA too")
		f.want(repoLine.MatchString(g.Driver.Repository), "Driver.Repository", "want it as in sources.list after \"deb\": https://repo.example/debian trixie main")
		f.want(strings.HasPrefix(g.Driver.Key, "-----BEGIN PGP PUBLIC KEY BLOCK-----") && strings.HasSuffix(strings.TrimSpace(g.Driver.Key), "-----END PGP PUBLIC KEY BLOCK-----") && len(g.Driver.Key) < 64<<10 &&
			prints(strings.ReplaceAll(g.Driver.Key, "\n", "")), "Driver.Key", "want a public key as text, as gpg --export --armor prints it")
		f.want(len(g.Driver.Names) > 0, "Driver.Names", "it names no package")
		for i, name := range g.Driver.Names {
			f.want(debianName.MatchString(name), fmt.Sprintf("Driver.Names[%d]", i), "%q is not the name of a package", name)
		}
	}
	if g.Ollama != nil {
		g.Ollama.check(f, "Ollama", ".tar.zst", ".tgz")
	}
}

func (d Download) check(f *fields, field string, suffixes ...string) {
	u, err := url.Parse(d.URL)
	ends := err == nil && slices.ContainsFunc(suffixes, func(s string) bool { return strings.HasSuffix(u.Path, s) })
	f.want(err == nil && downloadURL.MatchString(d.URL) && ends, field+".URL",
		"want an http or https address without blanks, credentials and query that ends in %s", strings.Join(suffixes, " or "))
	sum, err := hex.DecodeString(d.SHA256)
	f.want(err == nil && len(sum) == 32, field+".SHA256", "%q: want 64 hexadecimal digits", d.SHA256)
}

func (m ModelsDisk) check(f *fields) {
	slot := scsiSlot.FindStringSubmatch(m.Slot)
	n := 0
	if slot != nil {
		n, _ = strconv.Atoi(slot[1])
	}
	f.want(slot != nil && n <= 30, "Models.Slot", "%q: want scsi0 to scsi30, because a guest sees the slot of such a disk only", m.Slot)
	f.want(m.Slot != "scsi0", "Models.Slot", "scsi0 is the system's disk")
	f.want(ext4Label.MatchString(m.Label), "Models.Label", "%q: want 1 to 16 of letters, digits, . _ and -", m.Label)
	f.want(mountPath.MatchString(m.Mount), "Models.Mount", "%q: want a separate directory such as /srv/models, with letters, digits, . _ and -", m.Mount)
	f.want(!hidesFiles(m.Mount), "Models.Mount", "%s is a directory of the system or a home, and the disk would hide what is in it: take one below /srv", m.Mount)
}

// hidesFiles reports whether mounting a disk in this directory would hide files
// that the guest needs (Filesystem Hierarchy Standard 3.0, sections 3 and 5).
// The script also refuses a directory that is not empty.
func hidesFiles(mount string) bool {
	dirs := strings.Split(strings.TrimPrefix(mount, "/"), "/")
	switch dirs[0] {
	case "bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "lost+found", "proc", "root", "run", "sbin", "sys", "tmp", "usr":
		return true
	case "home", "var":
		return len(dirs) < 3
	case "media", "mnt", "opt", "srv":
		return len(dirs) < 2
	}
	return false
}

func (n Network) check(f *fields) {
	if !n.Address.IsValid() {
		f.want(!n.Gateway.IsValid() && len(n.DNS) == 0, "Network.Address", "a gateway or a name server needs an address: set Address too")
	} else {
		f.want(len(n.MAC) == 6, "Network.MAC", "a fixed address needs the network card's hardware address: want 6 bytes, as net0 of the VM has them")
		f.want(ofOneHost(n.Address), "Network.Address", "%s is the address of the network itself, of all its hosts, or of no card: want the guest's own address", n.Address)
		f.want(!n.Gateway.IsValid() || n.reaches(n.Gateway), "Network.Gateway", "%s is not in the network of %s", n.Gateway, n.Address)
		f.want(n.Gateway != n.Address.Addr(), "Network.Gateway", "%s is the guest's own address", n.Gateway)
	}
	f.want(n.MAC == nil || len(n.MAC) == 6, "Network.MAC", "%d bytes: want 6", len(n.MAC))
	// Bit 0 of the first byte marks an address that several cards share (IEEE
	// 802).
	f.want(len(n.MAC) != 6 || n.MAC[0]&1 == 0 && !bytes.Equal(n.MAC, make([]byte, 6)), "Network.MAC", "%s is not the address of one card", n.MAC)
	for i, server := range n.DNS {
		f.want(server.IsValid() && !server.IsUnspecified() && !server.IsMulticast(), fmt.Sprintf("Network.DNS[%d]", i), "it is not the address of a server")
	}
}

// The method "reaches" reports whether the gateway is on the guest's own link.
// Every card has a link-local network of IPv6 (RFC 4291 section 2.8).
func (n Network) reaches(gateway netip.Addr) bool {
	return n.Address.Contains(gateway) || n.Address.Addr().Is6() && gateway.Is6() && gateway.IsLinkLocalUnicast() && gateway.Zone() == ""
}

// ofOneHost reports whether the address can belong to a single host. The first
// address of an IPv4 network is the network's own address, and the last is the
// broadcast address (RFC 1812 section 4.2.2.11). If the prefix has 31 or 32
// bits, every address can belong to a host (RFC 3021).
func ofOneHost(p netip.Prefix) bool {
	a := p.Addr()
	if a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is4In6() {
		return false
	}
	if !a.Is4() || p.Bits() >= 31 {
		return true
	}
	host := binary.BigEndian.Uint32(a.AsSlice()) << p.Bits()
	return host != 0 && host != ^uint32(0)<<p.Bits()
}

// wrongKey returns the reason why a line is not a public key of OpenSSH, or ""
// (sshd(8), AUTHORIZED_KEYS FILE FORMAT). Options before a key are refused,
// because they can run programs.
func wrongKey(line string) string {
	if !prints(line) {
		return "it has a line break or another control character, or is not valid UTF-8: want one line of id_ed25519.pub"
	}
	if len(line) > 16<<10 {
		return "it is longer than 16 KiB"
	}
	words := strings.Fields(line)
	switch {
	case strings.Contains(line, "PRIVATE KEY"):
		return "it is a private key: give the line in the file that ends in .pub"
	case len(words) < 2 || !sshKeyType.MatchString(words[0]) || !base64Text.MatchString(words[1]):
		return "want a line as in id_ed25519.pub: a type such as ssh-ed25519, the key, and a comment if you like; no options"
	case !wholeKey(words[0], words[1]):
		return "the key is cut off, or is not one of type " + words[0] + ": copy the whole line of id_ed25519.pub"
	}
	return ""
}

// wholeKey reports whether the text is a complete key of this type. A key is a
// sequence of strings. In front of each string is its length, and the first
// string is the type (RFC 4253 section 6.6). sshd ignores an incomplete key
// without a message.
func wholeKey(kind, text string) bool {
	rest, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return false
	}
	parts := 0
	for ; len(rest) > 0; parts++ {
		if len(rest) < 4 {
			return false
		}
		n := uint64(binary.BigEndian.Uint32(rest))
		if n > uint64(len(rest)-4) || parts == 0 && string(rest[4:4+n]) != kind {
			return false
		}
		rest = rest[4+n:]
	}
	return parts > 1 && (kind != "ssh-rsa" || parts == 3)
}
