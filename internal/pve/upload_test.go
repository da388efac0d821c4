package pve_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/luthermonson/go-proxmox"

	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	const content = "a disk"
	sum := sha256.Sum256([]byte(content))
	right := hex.EncodeToString(sum[:])
	tests := map[string]struct {
		file        pve.File
		is          error
		says        string // a part of the request
		taskFailure string
	}{
		"as it is":          {file: pve.File{Storage: "local", Content: "import", Name: "a.raw", SHA256: right}},
		"unchecked":         {file: pve.File{Storage: "local", Content: "iso", Name: "a.iso"}},
		"another file":      {file: pve.File{Storage: "local", Content: "import", Name: "a.raw", SHA256: strings.Repeat("0", 64)}, taskFailure: "checksum mismatch"},
		"a wrong name":      {file: pve.File{Storage: "local", Content: "import", Name: "a.txt"}, is: pve.ErrInvalid, says: "extension"},
		"a storage of none": {file: pve.File{Storage: "local-lvm", Content: "import", Name: "a.raw"}, says: "can't upload to storage type 'lvmthin'"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, _ *pvetest.Node, c *pve.Client) {
				task, err := c.Upload(t.Context(), test.file, strings.NewReader(content), int64(len(content)))
				if test.says != "" {
					if !errors.Is(err, test.is) && test.is != nil || err == nil || !strings.Contains(err.Error(), test.says) {
						t.Errorf("error %v, want %q", err, test.says)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Wait(t.Context(), task, nil)
				if test.taskFailure != "" && (err == nil || !strings.Contains(err.Error(), test.taskFailure)) || test.taskFailure == "" && err != nil {
					t.Errorf("task: %v, want %q", err, test.taskFailure)
				}
				volumes, err := c.Content(t.Context(), test.file.Storage, test.file.Content)
				there := false
				for _, v := range volumes {
					there = there || v.ID == "local:"+test.file.Content+"/"+test.file.Name && int(v.Size) == len(content)
				}
				if err != nil || there != (test.taskFailure == "") {
					t.Errorf("on the storage: %v, %v", there, err)
				}
			})
		})
	}
}

// stuck is a file that returns no further byte until the context is cancelled.
type stuck struct{ end context.CancelFunc }

func (s stuck) Read(p []byte) (int, error) { s.end(); p[0] = 'x'; return 1, nil }

func TestUploadEndsWithItsContext(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, sim *pvetest.Node, c *pve.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err := c.Upload(ctx, pve.File{Storage: "local", Content: "iso", Name: "a.iso"}, stuck{cancel}, 1<<30)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want canceled", err)
		}
		time.Sleep(time.Minute)
		if volumes, err := c.Content(t.Context(), "local", "iso"); err != nil || len(volumes) != 3 {
			t.Errorf("%d images, want the 3 that were there, %v", len(volumes), err)
		}
		if len(sim.Tasks()) != 0 {
			t.Error("a task was begun")
		}
	})
}

// If go-proxmox is used without Transport, it treats a 403 with data as a
// success. Upload must return an error.
func TestUploadOfAPlainClientIsNotTakenForDone(t *testing.T) {
	t.Parallel()
	refuses := roundTripper(func(r *http.Request) (*http.Response, error) {
		_, _ = io.Copy(io.Discard, r.Body)
		return &http.Response{StatusCode: 403, Status: "403 Permission check failed", Body: io.NopCloser(strings.NewReader(`{"data":null}`)), Request: r}, nil
	})
	c := pve.New(proxmox.NewClient("https://pve.test:8006/api2/json", proxmox.WithHTTPClient(&http.Client{Transport: refuses}), proxmox.WithAPIToken(token, secret)), "pve")
	if _, err := c.Upload(t.Context(), pve.File{Storage: "local", Content: "iso", Name: "a.iso"}, strings.NewReader("x"), 1); !errors.Is(err, pve.ErrNoAnswer) {
		t.Errorf("error %v, want ErrNoAnswer", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDownload(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, _ *pvetest.Node, c *pve.Client) {
		const source = "https://example.com/opencore.raw"
		task, err := c.Download(t.Context(), pve.File{Storage: "local", Content: "import", Name: "opencore.raw"}, source)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = c.Wait(t.Context(), task, nil); err == nil || !strings.Contains(err.Error(), "download failed") {
			t.Errorf("a URL of nothing: %v", err)
		}
		s, err := c.StorageState(t.Context(), "local")
		if err != nil || !s.Active || !s.Holds("import") || s.Holds("images") || s.Available <= 0 {
			t.Errorf("state %+v, %v", s, err)
		}
	})
}
