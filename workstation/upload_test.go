package workstation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		volume, content string
		change          func(*pvetest.Host)
		is              error
		says            string // part of the error or of the last event
	}{
		"a recovery disk":           {"local:import/recovery-tahoe.raw", "image", nil, nil, "recovery-tahoe.raw is there"},
		"an ISO":                    {"local:iso/a.iso", "image", nil, nil, "local:iso/a.iso is there"},
		"one that is there":         {"local:import/small.raw", "12345678", withSmall, nil, "is there already"},
		"another that is there":     {"local:import/small.raw", "123456789", withSmall, workstation.ErrBlocked, "a file of 8 bytes has this name, the image has 9"},
		"a storage without imports": {"local:import/a.raw", "image", func(h *pvetest.Host) { h.Storages[0].Content = "iso,backup" }, workstation.ErrBlocked, "pvesm set local --content iso,backup,import"},
		"a full storage":            {"local:import/a.raw", "image", func(h *pvetest.Host) { h.Storages[0].Used = h.Storages[0].Total }, workstation.ErrBlocked, "the storage 0 B left"},
		"a storage that is not":     {"ghost:import/a.raw", "image", nil, workstation.ErrNotFound, "No such storage"},
		"nothing":                   {"local:import/a.raw", "", nil, workstation.ErrInvalid, "the image is empty"},
		"no volume":                 {"/root/a.raw", "image", nil, workstation.ErrInvalid, "want STORAGE:import/NAME.raw"},
		"an ISO among imports":      {"local:import/a.iso", "image", nil, workstation.ErrInvalid, "want STORAGE:import/NAME.raw"},
		"a way out":                 {"local:import/../iso/a.raw", "image", nil, workstation.ErrInvalid, "want STORAGE:import/NAME.raw"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				host := pvetest.Reference()
				if test.change != nil {
					test.change(&host)
				}
				sim := pvetest.New(host, nil)
				last := ""
				err := open(sim).Upload(t.Context(), test.volume, strings.NewReader(test.content), func(e workstation.Event) { last = e.Message })
				if err != nil {
					last = err.Error()
				}
				if !errors.Is(err, test.is) || !strings.Contains(last, test.says) {
					t.Errorf("%v, %q; want %v and %q", err, last, test.is, test.says)
				}
				if test.is != nil && len(sim.Writes()) > 0 {
					t.Errorf("it writes: %v", sim.Writes())
				}
				if test.is == nil { // a second upload has nothing to do
					before := len(sim.Writes())
					if err := open(sim).Upload(t.Context(), test.volume, strings.NewReader(test.content), nil); err != nil || len(sim.Writes()) != before {
						t.Errorf("again: %v, writes %v", err, sim.Writes())
					}
				}
			})
		})
	}
}

func withSmall(h *pvetest.Host) {
	h.Storages[0].Volumes = append(slices.Clone(h.Storages[0].Volumes), pvetest.Volume{Name: "import/small.raw", Size: 8, Format: "raw"})
}

// After any failure, another Upload of the same image succeeds.
func TestUploadAfterFaults(t *testing.T) {
	t.Parallel()
	for _, kind := range []pvetest.FaultKind{pvetest.Refuse, pvetest.Forbid, pvetest.DropBefore, pvetest.DropAfter, pvetest.ErrorAfter, pvetest.ProxyTimeout,
		pvetest.ProxyDown, pvetest.TaskFails, pvetest.TaskFailsLate, pvetest.TaskWarns} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				sim := pvetest.New(pvetest.Reference(), nil)
				fault := pvetest.Fault{Method: "POST", Path: "/nodes/pve/storage/local/upload", Kind: kind}
				if strings.HasPrefix(string(kind), "task") {
					fault = pvetest.Fault{Task: "imgcopy", Kind: kind}
				}
				sim.Inject(fault)
				for try := range 2 {
					err := open(sim).Upload(t.Context(), "local:import/a.raw", strings.NewReader("image"), nil)
					if try == 0 && err == nil && kind != pvetest.TaskWarns {
						t.Error("the fault went by unnoticed")
					}
					if try == 1 && err != nil {
						t.Errorf("the second time: %v", err)
					}
					time.Sleep(time.Minute)
				}
				before, last := len(sim.Writes()), ""
				err := open(sim).Upload(t.Context(), "local:import/a.raw", strings.NewReader("image"), func(e workstation.Event) { last = e.Message })
				if err != nil || len(sim.Writes()) != before || !strings.HasSuffix(last, "is there already") {
					t.Errorf("the third time: %v, %q", err, last)
				}
			})
		})
	}
}

// An ending image cancels its upload while it is read for the nth time.
type ending struct {
	*strings.Reader
	pass, nth int
	cancel    context.CancelFunc
}

func (e *ending) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekStart {
		e.pass++
	}
	return e.Reader.Seek(offset, whence)
}

func (e *ending) Read(p []byte) (int, error) {
	if e.pass == e.nth {
		e.cancel()
	}
	return e.Reader.Read(p[:1])
}

func TestUploadIsCancelled(t *testing.T) {
	t.Parallel()
	for _, nth := range []int{1, 2} { // first read for the checksum, then for sending
		synctest.Test(t, func(t *testing.T) {
			sim := pvetest.New(pvetest.Reference(), nil)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			image := &ending{Reader: strings.NewReader(strings.Repeat("x", 1000)), nth: nth, cancel: cancel}
			if err := open(sim).Upload(ctx, "local:import/a.raw", image, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want canceled", err)
			}
			time.Sleep(time.Minute)
			if len(sim.Tasks()) != 0 {
				t.Errorf("tasks: %v", sim.Tasks())
			}
		})
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		host := pvetest.Reference()
		const source = "https://example.com/OpenCore.raw"
		host.Downloads = map[string]int64{source: 1 << 20}
		sim := pvetest.New(host, nil)
		node := open(sim)
		good := workstation.ImageDownload{Volume: "local:import/OpenCore.raw", URL: source, SHA256: strings.Repeat("ab", 32)}
		for range 2 {
			if err := node.Download(t.Context(), good, nil); err != nil {
				t.Error(err)
			}
		}
		if len(sim.Writes()) != 1 {
			t.Errorf("writes: %v, want one", sim.Writes())
		}
		unchecked, nowhere := good, good
		unchecked.SHA256, nowhere.Volume, nowhere.URL = "", "local:import/b.raw", "https://example.com/404"
		if err := node.Download(t.Context(), unchecked, nil); !errors.Is(err, workstation.ErrInvalid) {
			t.Errorf("without a checksum: %v", err)
		}
		var failed *workstation.TaskError
		if err := node.Download(t.Context(), nowhere, nil); !errors.As(err, &failed) {
			t.Errorf("of nothing: %v", err)
		}
	})
}

func ExampleNode_Upload() {
	node, closeNode := embeddedNode(pvetest.Reference())
	defer closeNode()
	for range 2 {
		image := strings.NewReader("a disk image") // a program usually passes an *os.File
		err := node.Upload(context.Background(), "local:import/recovery-tahoe.raw", image, func(e workstation.Event) {
			if strings.HasPrefix(e.Message, "local:") {
				fmt.Println(e.Phase, e.Message)
			}
		})
		if err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// upload local:import/recovery-tahoe.raw is there
	// upload local:import/recovery-tahoe.raw is there already
}
