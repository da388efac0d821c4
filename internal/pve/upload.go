package pve

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/proxstation/proxstation/storage"
)

// A File is a file that will be put on a storage.
type File struct {
	Storage string
	Content string // "iso" or "import"
	Name    string // the file's name on the storage
	SHA256  string // in hexadecimal; PVE compares it with the file's checksum
}

// A StorageState holds the content types and the free space of a storage.
type StorageState struct {
	Type, Content string
	Active        bool
	Available     storage.Size
}

// Holds reports whether the storage is configured for a content type.
func (s StorageState) Holds(content string) bool {
	return slices.Contains(strings.Split(s.Content, ","), content)
}

// StorageState returns the state of one storage.
func (c *Client) StorageState(ctx context.Context, name string) (StorageState, error) {
	var s struct {
		Type, Content string
		Active        flag
		Avail         number
	}
	err := c.get(ctx, c.here("/storage/%s/status", url.PathEscape(name)), nil, &s)
	return StorageState{Type: s.Type, Content: s.Content, Active: bool(s.Active), Available: storage.Size(s.Avail.value)}, err
}

// Upload sends a file of a known size, and starts the task that puts the file
// on its storage. The task replaces a file of the same name. When the context
// ends, Upload ends too and reads no more of content. (The upload of go-proxmox
// takes no context.) The client must have made a request before, because
// go-proxmox does not log in during an upload.
func (c *Client) Upload(ctx context.Context, f File, content io.Reader, size int64) (task UPID, err error) {
	path := c.here("/storage/%s/upload", url.PathEscape(f.Storage))
	fields := map[string]string{"content": f.Content}
	if f.SHA256 != "" {
		fields["checksum"], fields["checksum-algorithm"] = f.SHA256, "sha256"
	}
	type answer struct {
		raw
		err error
	}
	done := make(chan answer, 1)
	body := &lent{ctx: ctx, from: content}
	defer body.giveBack()
	go func() {
		var a answer
		a.err = c.api.UploadReader(path, fields, f.Name, body, size, &a.raw)
		done <- a
	}()
	select {
	case a := <-done:
		if err = a.err; err == nil {
			_ = c.take(ctx, "POST", path, a.raw, &task) // an answer without a task becomes an error below
		}
	case <-ctx.Done():
	}
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("pve: POST %s: %w", path, context.Cause(ctx))
	case err != nil:
		return "", c.explain(wrap("POST", path, err))
	case task == "": // go-proxmox treats some refusals as success
		return "", c.explain(&Error{Method: "POST", Path: path, Message: "the answer names no task"})
	}
	return task, nil
}

// A lent reader stops reading when its context ends, or when its owner takes it
// back. The owner takes it back after the answer, because net/http may then
// still read the request's body.
type lent struct {
	ctx  context.Context
	mu   sync.Mutex
	from io.Reader
}

func (r *lent) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.from == nil {
		return 0, io.ErrClosedPipe
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.from.Read(p)
}

func (r *lent) giveBack() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from = nil
}

// Download makes the node download a file from a URL. PVE refuses to replace an
// existing file. Download needs Datastore.AllocateTemplate on the storage, and
// either Sys.AccessNetwork on the node, or both Sys.Audit and Sys.Modify on /.
func (c *Client) Download(ctx context.Context, f File, source string) (task UPID, err error) {
	params := map[string]any{"content": f.Content, "filename": f.Name, "url": source}
	if f.SHA256 != "" {
		params["checksum"], params["checksum-algorithm"] = f.SHA256, "sha256"
	}
	return task, c.post(ctx, c.here("/storage/%s/download-url", url.PathEscape(f.Storage)), params, &task)
}

// DeleteVolume starts to delete a volume by its ID. PVE does not check whether
// a VM uses the volume.
func (c *Client) DeleteVolume(ctx context.Context, storage, volume string) (task UPID, err error) {
	return task, c.delete(ctx, c.here("/storage/%s/content/%s", url.PathEscape(storage), url.PathEscape(volume)), &task)
}
