package guest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A shop is an HTTP server that offers files to the guest, over QEMU's network.
type shop struct {
	*testing.T
	address string // the address that the guest uses
	files   map[string][]byte
}

// open starts a shop. The test must add files before a guest requests them.
func open(t *testing.T) *shop {
	t.Helper()
	s := &shop{T: t, files: map[string][]byte{}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, path.Base(r.URL.Path), time.Time{}, bytes.NewReader(s.files[r.URL.Path]))
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.address = "http://10.0.2.2:" + port // in QEMU's user network, this is the host's loopback address
	return s
}

// put offers a file and returns its URL and its SHA-256.
func (s *shop) put(name string, data []byte) (url, sum string) {
	s.files["/"+name] = data
	digest := sha256.Sum256(data)
	return s.address + "/" + name, hex.EncodeToString(digest[:])
}

// deb offers a Debian package with the given files. All of these files are
// executable.
func (s *shop) deb(name, version string, files map[string]string) (url, sum string) {
	s.Helper()
	dir := s.TempDir()
	files["DEBIAN/control"] = "Package: " + name + "\nVersion: " + version + "\nArchitecture: amd64\nMaintainer: lab\nDescription: stand-in\n"
	for file, content := range files {
		file = filepath.Join(dir, "tree", file)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			s.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o755); err != nil {
			s.Fatal(err)
		}
	}
	deb := filepath.Join(dir, name+".deb")
	if out, err := exec.CommandContext(s.Context(), "dpkg-deb", "--root-owner-group", "-Znone", "--build", filepath.Join(dir, "tree"), deb).CombinedOutput(); err != nil {
		s.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(deb)
	if err != nil {
		s.Fatal(err)
	}
	return s.put(name+"-"+version+".deb", data)
}

// tgz offers an archive with the given files. All of these files are
// executable.
func (s *shop) tgz(name string, files map[string]string) (url, sum string) {
	s.Helper()
	var b bytes.Buffer
	compressed := gzip.NewWriter(&b)
	archive := tar.NewWriter(compressed)
	for file, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: file, Mode: 0o755, Size: int64(len(content))}); err != nil {
			s.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			s.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		s.Fatal(err)
	}
	if err := compressed.Close(); err != nil {
		s.Fatal(err)
	}
	return s.put(name, b.Bytes())
}

// standIn returns a script that takes the place of RustDesk. The script keeps
// its state in a directory.
func standIn(t *testing.T, version string) string {
	t.Helper()
	text, err := os.ReadFile("../../../workstation/rustdesk/testdata/standin.sh")
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("%DIR%", "/var/lib/standin", "%VERSION%", version, "%CONFIG%", "/root/.config/rustdesk").Replace(string(text))
}
