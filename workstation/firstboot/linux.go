package firstboot

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"

	"github.com/go-crypt/crypt/algorithm/shacrypt"

	"github.com/proxstation/proxstation"
)

// LinuxAI configures a cloud image of Debian or Ubuntu as a guest for models: a
// user, the guest agent, a disk for models and, on request, NVIDIA's driver,
// Ollama and containers. Password or Keys must be set, because nobody could log
// in otherwise.
type LinuxAI struct {
	// HostName is the guest's name, a label of DNS.
	HostName string
	// Instance is the id by which cloud-init finds out whether it has already
	// run. The default is "proxstation-" and HostName. With another id,
	// cloud-init does everything again and makes new SSH host keys.
	Instance string
	// User is the login. It may become root with sudo. If Password is set, sudo
	// asks for it.
	User string
	// Password is the login's password at the console and, if there are no
	// Keys, over SSH. The seed has the password's SHA-512 hash.
	Password proxstation.Secret
	// Keys holds the public keys that may log in with SSH, each a line as in
	// id_ed25519.pub.
	Keys []string
	// Language is a locale with UTF-8, such as "de_DE.UTF-8". Keyboard is an
	// XKB layout such as "de". TimeZone is an IANA name such as
	// "Europe/Berlin". An empty field keeps the image's own setting.
	Language, Keyboard, TimeZone string
	// Network is the guest's address. With the zero Network the guest asks
	// DHCP.
	Network Network
	// Models is the disk for models. If it is nil, there is no such disk.
	Models *ModelsDisk
	// NVIDIA installs NVIDIA's driver with the open kernel modules. Only these
	// modules drive a card of the Blackwell generation. The driver comes from
	// Ubuntu's packages on 24.04 and 26.04, and from NVIDIA's repository on
	// Debian 12 and 13.
	NVIDIA bool
	// Driver says from which other packages the driver is installed. If it is
	// nil, the driver comes from the packages that the comment of NVIDIA
	// describes.
	Driver *Packages
	// Ollama is the release of Ollama to install: an archive .tar.zst or .tgz
	// for Linux, from its makers. If it is nil, Ollama is not installed.
	Ollama *Download
	// Containers installs Docker. If NVIDIA is set, it also installs the
	// toolkit that lets containers use the card.
	Containers bool
}

// A Network is the address of a guest's first network card.
type Network struct {
	// MAC is the card's hardware address. It must be set if Address is set.
	// Package install chooses a MAC and gives it to the VM.
	MAC net.HardwareAddr
	// Address is the guest's address with the length of its network, such as
	// "192.168.1.41/24". If it is not set, the guest asks DHCP.
	Address netip.Prefix
	// Gateway and DNS may only be set together with Address.
	Gateway netip.Addr
	DNS     []netip.Addr
}

// A ModelsDisk is the disk for models and their cache.
type ModelsDisk struct {
	// Slot is the VM's slot for the disk, such as "scsi1". The guest finds the
	// disk by its slot, and formats it only if nothing is on it.
	Slot string
	// Label is the label of the disk's file system; the default is "models". A
	// disk with a file system of this label is not formatted.
	Label string
	// Mount is the directory where the disk is mounted; the default is
	// "/srv/models".
	Mount string
}

// Packages names packages of an apt repository.
type Packages struct {
	// Repository is the repository as it is written after "deb" in
	// sources.list: "https://repo.example/debian trixie main".
	Repository string
	// Key is the repository's public OpenPGP key, as text (gpg --export
	// --armor).
	Key string
	// Names holds the names of the packages to install.
	Names []string
}

// A Download is a file that the guest fetches.
type Download struct {
	// URL is the file's address, with http or https.
	URL string
	// SHA256 is the checksum of the file, as 64 hexadecimal digits. If a file
	// has another checksum, the guest deletes it.
	SHA256 string
}

// withDefaults returns a copy of the guest in which empty fields have their
// defaults.
func (g LinuxAI) withDefaults() LinuxAI {
	g.Instance = cmp.Or(g.Instance, "proxstation-"+g.HostName)
	if g.Models != nil {
		m := *g.Models
		m.Label, m.Mount = cmp.Or(m.Label, "models"), cmp.Or(m.Mount, "/srv/models")
		g.Models = &m
	}
	return g
}

// Seed returns the CD "cidata" that cloud-init reads at the first boot
// (cloud-init doc/rtd/reference/datasources/nocloud.rst). The error joins a
// [FieldError] for each field that cannot be used.
func (g LinuxAI) Seed() (Seed, error) {
	g = g.withDefaults()
	if err := g.check(); err != nil {
		return Seed{}, err
	}
	user, err := g.userData()
	if err != nil {
		return Seed{}, err
	}
	contents := map[string]string{
		"user-data": "#cloud-config\n" + user,
		"meta-data": asYAML(map[string]any{"instance-id": g.Instance, "local-hostname": g.HostName}),
	}
	if network := g.Network.config(); network != nil {
		contents["network-config"] = asYAML(network)
	}
	return newSeed(g.HostName, "cidata", contents), nil
}

// passwordRounds is the number of rounds of the password's hash. With so many
// rounds, guessing a password is slow, but a login takes no noticeable time.
// crypt(5) does 5,000 rounds by default, which was slow in 2007 but is not slow
// today.
const passwordRounds = 100_000

// Returns the SHA-512 hash of the password in the form of crypt(5). The salt is
// computed from Instance and User, so that equal fields give the same hash. It
// is not computed from the password, because such a salt would help in guessing
// the password.
func (g LinuxAI) hashed() (string, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "proxstation %q %q", g.Instance, g.User))
	salt := base64.RawURLEncoding.EncodeToString(sum[:])[:16]
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithRounds(passwordRounds))
	if err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	digest, err := hasher.HashWithSalt(g.Password.Reveal(), saltOf(salt))
	if err != nil {
		return "", fmt.Errorf("firstboot: Password cannot be hashed: %w", err)
	}
	return digest.Encode(), nil
}

// saltOf converts a text to a salt in the alphabet of crypt(5): ./0-9A-Za-z.
func saltOf(text string) []byte {
	salt := []byte(text)
	for i, c := range salt {
		switch c {
		case '-':
			salt[i] = '.'
		case '_':
			salt[i] = '/'
		}
	}
	return salt
}
