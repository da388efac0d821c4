package recovery

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// The keys are made only once, because making a key takes a while.
var (
	ourKey   = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	otherKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
)

func mustKey(t testing.TB, generate func() (*rsa.PrivateKey, error)) *rsa.PrivateKey {
	t.Helper()
	key, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// testImage returns bytes that depend on the seed.
func testImage(seed uint64, size int) []byte {
	image := make([]byte, size)
	_, _ = mathrand.NewChaCha8([32]byte{byte(seed)}).Read(image)
	return image
}

// The function "sign" makes the chunklist of an image as Apple does. Without a
// key, the chunklist has only a checksum.
func sign(t testing.TB, image []byte, chunkBytes int, key *rsa.PrivateKey) []byte {
	t.Helper()
	chunks := slices.Collect(slices.Chunk(image, chunkBytes))
	method := byte(1)
	if key == nil {
		method = 2
	}
	le := binary.LittleEndian
	list := append([]byte("CNKL"), 36, 0, 0, 0, 1, 1, method, 0)
	list = le.AppendUint64(list, uint64(len(chunks)))
	list = le.AppendUint64(list, 36)
	list = le.AppendUint64(list, uint64(36+36*len(chunks)))
	for _, chunk := range chunks {
		sum := sha256.Sum256(chunk)
		list = append(le.AppendUint32(list, uint32(len(chunk))), sum[:]...)
	}
	sum := sha256.Sum256(list)
	if key == nil {
		return append(list, sum[:]...)
	}
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(signature)
	return append(list, signature...)
}

// A service answers a Mac like Apple's service. Its fields make it fail.
type service struct {
	t         *testing.T
	url       string
	image     []byte
	chunklist []byte
	answer    func(string) string // changes the answer to a query
	cutAfter  atomic.Int64        // bytes of the image after which each connection breaks; 0 means that no connection breaks
	noRanges  bool                // ranges are ignored, as HTTP allows
	requests  atomic.Int64        // the number of requests for the image
	lastFrom  atomic.Int64        // the first byte of the last request for the image
	lastQuery atomic.Value
}

func newService(t *testing.T, image, chunklist []byte) *service {
	t.Helper()
	s := &service{t: t, image: image, chunklist: chunklist}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Set-Cookie", "other=1; path=/")
		w.Header().Add("Set-Cookie", "session=1600~ABC; path=/; HttpOnly")
	})
	mux.HandleFunc("POST /InstallationPayload/RecoveryImage", s.query)
	mux.HandleFunc("GET /files/BaseSystem.dmg", s.serveImage)
	mux.HandleFunc("GET /files/BaseSystem.chunklist", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Cookie") != "AssetToken=chunklist-token" {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		_, _ = w.Write(s.chunklist)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

var wantQuery = regexp.MustCompile(`^cid=[0-9A-F]{16}\nsn=[0-9A-Z]{17}\nbid=Mac-[0-9A-F]+\nk=[0-9A-F]{64}\nfg=[0-9A-F]{64}\nos=(default|latest)$`)

func (s *service) query(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.lastQuery.Store(string(body))
	switch {
	case r.Header.Get("Cookie") != "session=1600~ABC", r.UserAgent() != "InternetRecovery/1.0":
		http.Error(w, "forbidden", http.StatusForbidden)
	case !wantQuery.Match(body), r.Header.Get("Content-Type") != "text/plain":
		http.Error(w, "bad request", http.StatusBadRequest)
	case strings.Contains(string(body), "bid=Mac-0000"):
		http.NotFound(w, r)
	default:
		text := fmt.Sprintf("AP: 041-91758\nAU: %s/files/BaseSystem.dmg\nAH: 00\nAT: image-token\nCU: %s/files/BaseSystem.chunklist\nCH: 00\nCT: chunklist-token\n", s.url, s.url)
		if s.answer != nil {
			text = s.answer(text)
		}
		_, _ = io.WriteString(w, text)
	}
}

func (s *service) serveImage(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Cookie") != "AssetToken=image-token" {
		http.Error(w, "forbidden", http.StatusForbidden)
		return
	}
	s.requests.Add(1)
	body, status := s.image, http.StatusOK
	var from int
	if header := r.Header.Get("Range"); header != "" && !s.noRanges {
		if _, err := fmt.Sscanf(header, "bytes=%d-", &from); err != nil || from >= len(body) {
			http.Error(w, "range", http.StatusRequestedRangeNotSatisfiable)
			return
		}
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
		body, status = body[from:], http.StatusPartialContent
	}
	s.lastFrom.Store(int64(from))
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(status)
	if cut := s.cutAfter.Load(); cut > 0 && int64(len(body)) > cut {
		_, _ = w.Write(body[:cut])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = io.Copy(w, bytes.NewReader(body))
}

// FuzzAsset parses answers of the service about a recovery system. A parsed
// asset has two web addresses, and its texts come from the answer.
func FuzzAsset(f *testing.F) {
	f.Add("AP: 052-12345\nAU: http://oscdn.apple.com/a/BaseSystem.dmg\nAH: 00\nAT: expires=1~x\nCU: http://oscdn.apple.com/a/BaseSystem.chunklist\nCH: 00\nCT: expires=1~y\n")
	f.Add("AP: \nAU: file:///etc/passwd\nAT: x\nCU: //host\nCT: y")
	f.Fuzz(func(t *testing.T, body string) {
		asset, err := parseAsset(&http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body)),
			Request: &http.Request{URL: &url.URL{Scheme: "https", Host: "service.test"}}})
		if err != nil {
			if strings.ContainsAny(err.Error(), "\x1b\n\r") {
				t.Errorf("%q: %q", body, err)
			}
			return
		}
		for _, address := range []string{asset.Image, asset.Chunklist} {
			u, err := url.Parse(address)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || !strings.Contains(body, address) {
				t.Errorf("%q: %q", body, address)
			}
		}
		if asset.Product == "" || !strings.Contains(body, asset.Product) {
			t.Errorf("%q: product %q", body, asset.Product)
		}
	})
}
