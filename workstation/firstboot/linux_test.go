package firstboot

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/goccy/go-yaml"

	"github.com/proxstation/proxstation"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Compares a text with a file in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; after a look: go test ./workstation/firstboot -update\n%s", path, got)
	}
}

const testKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLEEXAMPLE1 me@desk"

func linuxGuest() LinuxAI {
	return LinuxAI{HostName: "linux-ai", User: "me", Keys: []string{testKey}}
}

func fullLinux() LinuxAI {
	g := linuxGuest()
	g.Password = proxstation.NewSecret(`it's "100%" <of> $5 & more\n`)
	g.Language, g.Keyboard, g.TimeZone = "de_DE.UTF-8", "de", "Europe/Berlin"
	g.Network = Network{
		MAC: net.HardwareAddr{0xBC, 0x24, 0x11, 0, 0, 1}, Address: netip.MustParsePrefix("192.168.1.41/24"),
		Gateway: netip.MustParseAddr("192.168.1.1"), DNS: []netip.Addr{netip.MustParseAddr("192.168.1.1")},
	}
	g.Models = &ModelsDisk{Slot: "scsi1"}
	g.NVIDIA, g.Containers = true, true
	g.Ollama = &Download{URL: "https://github.com/ollama/ollama/releases/download/v0.14.0/ollama-linux-amd64.tar.zst", SHA256: strings.Repeat("0f", 32)}
	return g
}

func content(t *testing.T, s Seed, name string) string {
	t.Helper()
	data, err := s.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestLinuxSeedIsGolden(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]LinuxAI{"plain": linuxGuest(), "full": fullLinux()} {
		seed, err := g.Seed()
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range seed.Files() {
			golden(t, "linux-"+name+"-"+file, content(t, seed, file))
		}
		script, err := g.withDefaults().script("")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, "linux-"+name+".sh", script)
	}
}

func TestLinuxUserData(t *testing.T) {
	t.Parallel()
	seed, err := fullLinux().Seed()
	if err != nil {
		t.Fatal(err)
	}
	text := content(t, seed, "user-data")
	if strings.Contains(text, "100%") {
		t.Error("the password is in the user-data")
	}
	var data struct {
		Users []struct{ Passwd string }
		Hosts string `json:"manage_etc_hosts"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, "#cloud-config\n")), &data); err != nil {
		t.Fatal(err)
	}
	digest, err := shacrypt.Decode(data.Users[0].Passwd)
	if err != nil || !digest.Match(fullLinux().Password.Reveal()) || digest.Match("another") {
		t.Errorf("%q is not the hash of the password: %v", data.Users[0].Passwd, err)
	}
	if data.Hosts != "localhost" {
		t.Errorf("manage_etc_hosts is %q: the lines of /etc/hosts that are there would be lost, or the guest would not know its own name", data.Hosts)
	}
}

// Our hash of a password equals the hash that openssl computes with its own
// implementation.
func TestPasswordHashAgreesWithOpenSSL(t *testing.T) {
	t.Parallel()
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	for _, password := range []string{"x", `it's "100%" <of> $5 & more\n`, "пароль-密码-🔑", strings.Repeat("long ", 20)} {
		g := linuxGuest()
		g.Password = proxstation.NewSecret(password)
		hash, err := g.withDefaults().hashed()
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(hash, "$")
		cmd := exec.CommandContext(t.Context(), openssl, "passwd", "-6", "-stdin", "-salt", parts[2]+"$"+parts[3])
		cmd.Stdin = strings.NewReader(password + "\n")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if parts[len(parts)-1] != strings.TrimSpace(string(out[bytes.LastIndexByte(out, '$')+1:])) {
			t.Errorf("%q: %s, openssl says %s", password, hash, out)
		}
	}
}

func TestLinuxRefusals(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		change func(*LinuxAI)
		field  string
	}{
		"no host name":           {func(g *LinuxAI) { g.HostName = "" }, "HostName"},
		"a host name for sh":     {func(g *LinuxAI) { g.HostName = "a;reboot" }, "HostName"},
		"a login for sh":         {func(g *LinuxAI) { g.User = "me$(id)" }, "User"},
		"a login of the system":  {func(g *LinuxAI) { g.User = "root" }, "User"},
		"nobody can log in":      {func(g *LinuxAI) { g.Keys = nil }, "Keys"},
		"a password of lines":    {func(g *LinuxAI) { g.Password = proxstation.NewSecret("a\nroot:b") }, "Password"},
		"a very long password":   {func(g *LinuxAI) { g.Password = proxstation.NewSecret(strings.Repeat("x", 129)) }, "Password"},
		"a key with a program":   {func(g *LinuxAI) { g.Keys = []string{`command="reboot" ` + testKey} }, "Keys[0]"},
		"a key of two lines":     {func(g *LinuxAI) { g.Keys = []string{testKey, testKey + "\n" + testKey} }, "Keys[1]"},
		"a key for sh":           {func(g *LinuxAI) { g.Keys = []string{"ssh-ed25519 $(reboot)"} }, "Keys[0]"},
		"a private key":          {func(g *LinuxAI) { g.Keys = []string{"-----BEGIN OPENSSH PRIVATE KEY-----"} }, "Keys[0]"},
		"a locale for sh":        {func(g *LinuxAI) { g.Language = "de_DE`id`" }, "Language"},
		"a locale of Latin-1":    {func(g *LinuxAI) { g.Language = "de_DE" }, "Language"},
		"a layout of two":        {func(g *LinuxAI) { g.Keyboard = "de,us" }, "Keyboard"},
		"a zone that climbs":     {func(g *LinuxAI) { g.TimeZone = "../../etc/passwd" }, "TimeZone"},
		"a gateway alone":        {func(g *LinuxAI) { g.Network.Gateway = netip.MustParseAddr("10.0.0.1") }, "Network.Address"},
		"an address without MAC": {func(g *LinuxAI) { g.Network.Address = netip.MustParsePrefix("10.0.0.2/24") }, "Network.MAC"},
		"a gateway elsewhere": {func(g *LinuxAI) {
			g.Network = network("10.0.0.2/24", "10.0.1.1")
		}, "Network.Gateway"},
		"the system's disk":   {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi0"} }, "Models.Slot"},
		"a slot not seen":     {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "virtio1"} }, "Models.Slot"},
		"a slot PVE lacks":    {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi31"} }, "Models.Slot"},
		"a label of words":    {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Label: "my models"} }, "Models.Label"},
		"a label too long":    {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Label: strings.Repeat("m", 17)} }, "Models.Label"},
		"a mount for sh":      {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/srv/$(id)"} }, "Models.Mount"},
		"a mount that climbs": {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/srv/../etc"} }, "Models.Mount"},
		"a mount over a tree": {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/usr"} }, "Models.Mount"},
		"a mount in a tree":   {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/usr/bin"} }, "Models.Mount"},
		"a mount over states": {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/var/lib"} }, "Models.Mount"},
		"a mount over keys":   {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/home/me"} }, "Models.Mount"},
		"a mount over /lib64": {func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/lib64"} }, "Models.Mount"},
		"a login and a group": {func(g *LinuxAI) { g.User = "users" }, "User"},
		"a key cut off":       {func(g *LinuxAI) { g.Keys = []string{testKey[:76]} }, "Keys[0]"},
		"a key of other type": {func(g *LinuxAI) { g.Keys = []string{"ssh-rsa" + strings.TrimPrefix(testKey, "ssh-ed25519")} }, "Keys[0]"},
		"the network itself":  {func(g *LinuxAI) { g.Network = network("10.0.0.0/24", "10.0.0.1") }, "Network.Address"},
		"all hosts":           {func(g *LinuxAI) { g.Network = network("10.0.0.255/24", "10.0.0.1") }, "Network.Address"},
		"the guest's gateway": {func(g *LinuxAI) { g.Network = network("10.0.0.1/24", "10.0.0.1") }, "Network.Gateway"},
		"a MAC of several": {func(g *LinuxAI) {
			g.Network = network("10.0.0.2/24", "10.0.0.1")
			g.Network.MAC[0] |= 1
		}, "Network.MAC"},
		"a name server nowhere": {func(g *LinuxAI) {
			g.Network = network("10.0.0.2/24", "10.0.0.1")
			g.Network.DNS = []netip.Addr{netip.IPv4Unspecified()}
		}, "Network.DNS[0]"},
		"an URL for sh":           {func(g *LinuxAI) { g.Ollama = &Download{URL: "https://x/$(id).tgz", SHA256: strings.Repeat("0", 64)} }, "Ollama.URL"},
		"no checksum":             {func(g *LinuxAI) { g.Ollama = &Download{URL: "https://x/ollama.tgz"} }, "Ollama.SHA256"},
		"a driver for nothing":    {func(g *LinuxAI) { g.Driver = &Packages{} }, "Driver"},
		"a package for sh":        {driver("https://x/ a b", armor, "a;b"), "Driver.Names[0]"},
		"no package":              {driver("https://x/ a b", armor), "Driver.Names"},
		"an untrusted source":     {driver("[trusted=yes] https://x/ a b", armor, "ab"), "Driver.Repository"},
		"a key for packages cut":  {driver("https://x/ a b", armor[:40], "ab"), "Driver.Key"},
		"a long MAC":              {func(g *LinuxAI) { g.Network.MAC = make(net.HardwareAddr, 8) }, "Network.MAC"},
		"an instance that climbs": {func(g *LinuxAI) { g.Instance = "../x" }, "Instance"},
		"an instance above":       {func(g *LinuxAI) { g.Instance = ".." }, "Instance"},
	}
	for name, test := range tests {
		g := linuxGuest()
		test.change(&g)
		seed, err := g.Seed()
		var field *FieldError
		if !errors.Is(err, ErrField) || !errors.As(err, &field) || field.Field != test.field || !seed.IsZero() {
			t.Errorf("%s: %v, want an error of %s and no seed", name, err, test.field)
		}
	}
}

const armor = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"

// driver returns a function that lets a guest install the driver from another
// repository.
func driver(repository, key string, names ...string) func(*LinuxAI) {
	return func(g *LinuxAI) {
		g.NVIDIA, g.Driver = true, &Packages{Repository: repository, Key: key, Names: names}
	}
}

func network(address, gateway string) Network {
	return Network{MAC: net.HardwareAddr{0xBC, 0x24, 0x11, 0, 0, 1}, Address: netip.MustParsePrefix(address), Gateway: netip.MustParseAddr(gateway)}
}

// Unusual but correct values are accepted.
func TestLinuxAccepts(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*LinuxAI){
		"a gateway of the link":   func(g *LinuxAI) { g.Network = network("2001:db8::2/64", "fe80::1") },
		"a link of two":           func(g *LinuxAI) { g.Network = network("10.0.0.0/31", "10.0.0.1") },
		"a private wide network":  func(g *LinuxAI) { g.Network = network("10.0.255.0/16", "10.0.0.1") },
		"a directory of its own":  func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/data"} },
		"a directory in a home":   func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi1", Mount: "/home/me/models"} },
		"a directory of services": func(g *LinuxAI) { g.Models = &ModelsDisk{Slot: "scsi30", Mount: "/var/lib/models"} },
		"a key of P-256": func(g *LinuxAI) {
			g.Keys = []string{"ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBEmKSENjQEezOmxkZMy7opKgwFB9nkt5YRrYMjNuG5N87uRgg6CLrbo5wAdT/y6v0mKV0U2w0WZ2YB/++Tpockg="}
		},
	} {
		g := linuxGuest()
		change(&g)
		if seed, err := g.Seed(); err != nil || seed.IsZero() {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The longest host name is accepted, although the default of Instance is longer.
func TestLongestHostName(t *testing.T) {
	t.Parallel()
	g := linuxGuest()
	g.HostName = strings.Repeat("h", 63)
	if seed, err := g.Seed(); err != nil || seed.IsZero() {
		t.Error(err)
	}
}

// The scripts pass sh -n and, where it is installed, shellcheck.
func TestScriptsAreSound(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]LinuxAI{"plain": linuxGuest(), "full": fullLinux()} {
		script, err := g.withDefaults().script("/tmp/a b")
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), name+".sh")
		if err := os.WriteFile(path, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), "sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		shellcheck, err := exec.LookPath("shellcheck")
		if err != nil {
			continue
		}
		if out, err := exec.CommandContext(t.Context(), shellcheck, "--shell=sh", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}

// FuzzLinux checks that the user-data is YAML whatever the values are, and that
// a YAML parser reads every value unchanged.
func FuzzLinux(f *testing.F) {
	f.Add("linux-ai", "me", testKey, "de_DE.UTF-8", "de", "Europe/Berlin", "models", "/srv/models")
	f.Add("a", "_x", testKey+` "quoted" #{$x}: - 'é' 🔑`+"\u0085\ufffe\x7f", "C", "us", "UTC", "-", "/a")
	f.Add("x\n", "root", "ssh-ed25519 \x00", "$(id)", "';", "../..", "a b", "/srv/'x")
	f.Fuzz(func(t *testing.T, host, user, key, language, keyboard, zone, label, mount string) {
		g := LinuxAI{HostName: host, User: user, Keys: []string{key}, Language: language, Keyboard: keyboard, TimeZone: zone,
			Models: &ModelsDisk{Slot: "scsi1", Label: label, Mount: mount}}
		if err := g.withDefaults().check(); err != nil {
			if !errors.Is(err, ErrField) {
				t.Fatal(err)
			}
			return
		}
		seed, err := g.Seed()
		if err != nil {
			t.Fatal(err)
		}
		user2, err := seed.ReadFile("user-data")
		if err != nil {
			t.Fatal(err)
		}
		var data struct {
			Hostname, Locale, Timezone string
			Users                      []struct {
				Name string
				Keys []string `yaml:"ssh_authorized_keys"`
			}
			Files []struct{ Content string } `yaml:"write_files"`
		}
		if err := yaml.Unmarshal(user2, &data); err != nil {
			t.Fatalf("%v\n%s", err, user2)
		}
		script, err := g.withDefaults().script("")
		if err != nil {
			t.Fatal(err)
		}
		if data.Hostname != host || data.Locale != language || data.Timezone != zone || len(data.Users) != 1 ||
			data.Users[0].Name != user || data.Users[0].Keys[0] != key || data.Files[0].Content != script {
			t.Errorf("the values became others:\n%s", user2)
		}
	})
}

// PyYAML reads the values that we wrote into the seed. cloud-init reads its
// user-data with PyYAML.
func TestPyYAMLReadsTheSeed(t *testing.T) {
	t.Parallel()
	if err := exec.CommandContext(t.Context(), "python3", "-c", "import yaml").Run(); err != nil {
		t.Skip("python3 with yaml is not installed")
	}
	g := fullLinux()
	g.Keys = []string{testKey + " \"quoted\" #{$x}: - 'é' 🔑 \u00a0\u00ad"}
	for _, file := range []string{"user-data", "meta-data", "network-config"} {
		cmd := exec.CommandContext(t.Context(), "python3", "-c", "import sys, yaml, json; json.dump(yaml.safe_load(sys.stdin.buffer), sys.stdout)")
		text := content(t, must(g.Seed()), file)
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var got, want any
		if err := errors.Join(json.Unmarshal(out, &got), json.Unmarshal([]byte(strings.TrimPrefix(text, "#cloud-config\n")), &want)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: PyYAML reads %v", file, got)
		}
	}
}

func FuzzParseState(f *testing.F) {
	f.Add("phase=done\nagent=1:7.2\n")
	f.Add("\ufeffphase=games\r\nfailed=x=y\r\n")
	f.Add("phase")
	f.Fuzz(func(t *testing.T, text string) {
		state, err := ParseState(text)
		if (err == nil) == errors.Is(err, ErrState) {
			t.Fatal(err)
		}
		_ = state.String()
	})
}
