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

// LinuxAI is what a cloud image of Debian or Ubuntu is told so that it becomes a
// guest for models: a user, the guest agent, a disk for models, and where asked
// for NVIDIA's driver, Ollama and containers. Password or Keys must be given,
// because nobody could log in otherwise.
type LinuxAI struct {
	// HostName is the guest's name, a label of DNS.
	HostName string
	// Instance is the id by which cloud-init knows whether it has run already;
	// the default is "proxstation-" and HostName. Another id has cloud-init do
	// everything again, with new SSH host keys.
	Instance string
	// User is the login, which may become root. Its sudo asks for the Password if
	// there is one.
	User string
	// Password is the login's password, at the console and, without Keys, with
	// SSH. The seed has its SHA-512 hash.
	Password proxstation.Secret
	// Keys are the public keys that may log in with SSH, each a line as in
	// id_ed25519.pub.
	Keys []string
	// Language is a locale such as "de_DE.UTF-8", Keyboard a layout of XKB such
	// as "de", TimeZone a name of IANA such as "Europe/Berlin". Unset, the image
	// keeps its own.
	Language, Keyboard, TimeZone string
	// Network is the guest's address; the zero Network asks DHCP.
	Network Network
	// Models is the disk for models; nil means that there is none.
	Models *ModelsDisk
	// NVIDIA installs NVIDIA's driver with the open kernel modules, which alone
	// drive a card of the Blackwell generation: from Ubuntu's packages on 24.04
	// and 26.04, from NVIDIA's repository on Debian 12 and 13.
	NVIDIA bool
	// Driver is where the driver comes from instead; nil means as said above.
	Driver *Packages
	// Ollama is the release of Ollama to install, an archive .tar.zst or .tgz of
	// its makers for Linux; nil means that it is not installed.
	Ollama *Download
	// Containers installs Docker and, with NVIDIA, the toolkit that lets
	// containers use the card.
	Containers bool
}

// A Network is the address of a guest's first network card.
type Network struct {
	// MAC is the card's hardware address. It must be given with Address; package
	// install chooses one and gives it to the VM.
	MAC net.HardwareAddr
	// Address is the guest's address with the length of its network,
	// "192.168.1.41/24"; unset, DHCP.
	Address netip.Prefix
	// Gateway and DNS go with Address.
	Gateway netip.Addr
	DNS     []netip.Addr
}

// A ModelsDisk is the disk for models and their cache.
type ModelsDisk struct {
	// Slot is where the VM has the disk: "scsi1". The guest finds it by this
	// place, and formats it only if nothing is on it.
	Slot string
	// Label is the label of its file system; the default is "models". A disk that
	// has a file system of this label keeps it.
	Label string
	// Mount is the directory; the default is "/srv/models".
	Mount string
}

// Packages are packages of an apt repository.
type Packages struct {
	// Repository is the repository as a line of sources.list has it after "deb":
	// "https://repo.example/debian trixie main".
	Repository string
	// Key is the repository's public OpenPGP key, as text (gpg --export --armor).
	Key string
	// Names are the packages to install.
	Names []string
}

// A Download is a file that the guest fetches.
type Download struct {
	// URL is where the file is, with http or https.
	URL string
	// SHA256 is the file's checksum, 64 hexadecimal digits. A file with another
	// checksum is thrown away.
	SHA256 string
}

// withDefaults fills in what was not set.
func (g LinuxAI) withDefaults() LinuxAI {
	g.Instance = cmp.Or(g.Instance, "proxstation-"+g.HostName)
	if g.Models != nil {
		m := *g.Models
		m.Label, m.Mount = cmp.Or(m.Label, "models"), cmp.Or(m.Mount, "/srv/models")
		g.Models = &m
	}
	return g
}

// Seed returns the CD "cidata" that cloud-init reads at the first boot (cloud-init
// doc/rtd/reference/datasources/nocloud.rst). The error joins a [FieldError] for
// each field that cannot be used.
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

// passwordRounds makes a guess at a password slow, and a login hardly slower:
// 5,000, which crypt(5) takes unless told otherwise, was slow in 2007.
const passwordRounds = 100_000

// hashed returns the password as crypt(5) has it, SHA-512. The salt follows from
// the guest's names, so that the same fields make the same seed; it does not
// follow from the password, which would make guessing cheap.
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

// saltOf returns the salt in the alphabet of crypt(5): ./0-9A-Za-z.
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
