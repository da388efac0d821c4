package workstation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/storage"
)

// The volume names that PVE accepts (pve-storage PVE/Storage.pm, ISO_EXT_RE_0
// and UPLOAD_IMPORT_EXT_RE_1). In the name of an ISO, the API replaces other
// characters.
var imageVolume = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9._-]*):(?:(iso)/([A-Za-z0-9._-]+\.(?:iso|img))|(import)/([A-Za-z0-9.+=_-]+\.(?:raw|qcow2|vmdk)))$`)

// Upload brings an image to the node, as a volume such as
// "local:import/recovery-sequoia.raw" or "local:iso/virtio-win.iso". Disks are
// made from volumes of content type import (PVE 8.4 and newer). A raw image
// must be complete, because PVE examines it.
//
// If a volume of that name and size exists, Upload assumes that it is the
// image, because no API returns a checksum. If the size differs, or the storage
// has no room or does not take images, the error is a [BlockedError]. An image
// or a name that no storage takes is an [InvalidError]. Upload reads the image
// twice: first it computes the SHA-256, with which PVE compares the data, and
// then it sends the image. PVE cannot resume an upload, so after a failure
// Upload begins anew. Upload stops when its context ends.
//
// It needs Datastore.AllocateTemplate and Datastore.Audit on the storage. The
// node's /var/tmp needs room for the image during the upload.
func (n *Node) Upload(ctx context.Context, volume string, image io.ReadSeeker, progress func(Event)) error {
	size, err := image.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("workstation: %s: %w", volume, err)
	}
	b := &bringing{node: n, volume: volume, reporter: reporter{report: progress}}
	if size == 0 {
		return invalidImage(volume, "the image is empty")
	}
	b.enter(PhaseUpload, 0, "looking for the volume")
	if there, err := b.look(ctx, storage.Size(size)); there || err != nil {
		return err
	}
	if b.file.SHA256, err = b.sum(ctx, image, size); err != nil {
		return err
	}
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("workstation: %s: %w", volume, err)
	}
	task, err := n.pve.Upload(ctx, b.file, b.counted(ctx, image, size, "uploading"), size)
	return b.finish(ctx, task, err, storage.Size(size))
}

// An ImageDownload is a file that the node fetches by itself.
type ImageDownload struct {
	// Volume is the volume that the file becomes; see [Node.Upload].
	Volume string
	// URL is the address from which the node fetches the file.
	URL string
	// SHA256 is the file's checksum in hexadecimal. It is required, because
	// without it nobody knows which file was fetched.
	SHA256 string
}

// Download makes the node fetch an image from a URL. If a volume of that name
// exists, Download assumes that it is the image. If the download cannot begin,
// the error is an [InvalidError] or a [BlockedError]. If it failed or the
// checksum differs, the error is a [TaskError].
//
// It needs Datastore.AllocateTemplate and Datastore.Audit on the storage. It
// also needs Sys.AccessNetwork on the node, or both Sys.Audit and Sys.Modify on
// /.
func (n *Node) Download(ctx context.Context, d ImageDownload, progress func(Event)) error {
	b := &bringing{node: n, volume: d.Volume, reporter: reporter{report: progress}}
	if sum, err := hex.DecodeString(d.SHA256); err != nil || len(sum) != sha256.Size {
		return invalidImage(d.Volume, "a download needs the SHA-256 checksum of the file, 64 hexadecimal digits")
	}
	b.enter(PhaseUpload, 0, "looking for the volume")
	if there, err := b.look(ctx, 0); there || err != nil {
		return err
	}
	b.file.SHA256 = d.SHA256
	task, err := n.pve.Download(ctx, b.file, d.URL)
	return b.finish(ctx, task, err, 0)
}

// A bringing holds the state of one Upload or Download.
type bringing struct {
	node   *Node
	volume string
	file   pve.File
	reporter
}

func invalidImage(volume, why string) error {
	return &InvalidError{Field: "image", Value: volume, Why: why}
}

func (b *bringing) blocked(seen, why, fix string) error {
	return &BlockedError{What: "bringing " + b.volume + " to the node", Findings: []proxstation.Finding{blocker("workstation.image", b.volume, seen, why, fix)}}
}

// look reports whether the volume exists. It returns an error if the storage
// would refuse the volume, because PVE itself refuses an upload only after it
// has received all of it.
func (b *bringing) look(ctx context.Context, size storage.Size) (there bool, err error) {
	match := imageVolume.FindStringSubmatch(b.volume)
	if match == nil {
		return false, invalidImage(b.volume, "want STORAGE:import/NAME.raw (or qcow2, vmdk) or STORAGE:iso/NAME.iso (or img)")
	}
	b.file = pve.File{Storage: match[1], Content: match[2] + match[4], Name: match[3] + match[5]}
	state, err := b.node.pve.StorageState(ctx, b.file.Storage)
	if err != nil {
		return false, err
	}
	if !state.Holds(b.file.Content) {
		return false, b.blocked(fmt.Sprintf("storage %s is for %s", b.file.Storage, state.Content), "PVE would refuse the image after the whole upload",
			fmt.Sprintf("allow it, on the node: pvesm set %s --content %s,%s", b.file.Storage, state.Content, b.file.Content))
	}
	have, there, err := b.find(ctx)
	switch {
	case err != nil:
		return false, err
	case there && size != 0 && have != size:
		return false, b.blocked(fmt.Sprintf("a file of %d bytes has this name, the image has %d", have, size), "the file may be in use, or another upload of it may be under way", "remove it, or choose another name")
	case there:
		b.say(0, b.volume+" is there already")
		return true, nil
	case size > state.Available:
		return false, b.blocked(fmt.Sprintf("the image has %s, the storage %s left", size.Human(), state.Available.Human()), "PVE would fail when the storage is full", "make room, or choose another storage")
	}
	return false, nil
}

func (b *bringing) find(ctx context.Context) (size storage.Size, there bool, err error) {
	volumes, err := b.node.pve.Content(ctx, b.file.Storage, b.file.Content)
	for _, v := range volumes {
		if v.ID == b.volume {
			return v.Size, true, nil
		}
	}
	return 0, false, err
}

func (b *bringing) sum(ctx context.Context, image io.ReadSeeker, size int64) (string, error) {
	if _, err := image.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("workstation: %s: %w", b.volume, err)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, b.counted(ctx, image, size, "reading")); err != nil {
		return "", fmt.Errorf("workstation: %s: %w", b.volume, err)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// finish waits for the task and then looks for the volume, because an answer
// may get lost although the work was done.
func (b *bringing) finish(ctx context.Context, task pve.UPID, err error, size storage.Size) error {
	if err == nil {
		b.say(0, "the node checks the image and moves it to the storage")
		var tell func(string)
		if b.report != nil {
			tell = func(line string) { b.say(0, line) }
		}
		_, err = b.node.pve.Follow(ctx, task, tell)
	}
	if err != nil && (task != "" || !uncertain(err)) {
		return err
	}
	have, there, lookErr := b.find(ctx)
	switch {
	case lookErr != nil:
		return errors.Join(err, lookErr)
	case !there && err != nil:
		return err // the volume may still appear, and a second Upload would find it
	case !there || size != 0 && have != size:
		return errors.Join(err, fmt.Errorf("workstation: %s: the task ended, but the volume is not there as sent", b.volume))
	}
	b.say(0, b.volume+" is there")
	return nil
}

// counted wraps an image. About once a second it reports how much of the image
// has been read. It ends with the context.
func (b *bringing) counted(ctx context.Context, image io.Reader, size int64, verb string) io.Reader {
	return &counting{ctx: ctx, from: image, tell: func(done int64) {
		b.say(0, fmt.Sprintf("%s %s of %s", verb, storage.Size(done).Human(), storage.Size(size).Human()))
	}}
}

type counting struct {
	ctx  context.Context
	from io.Reader
	tell func(done int64)
	done int64
	told time.Time
}

func (c *counting) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.from.Read(p)
	c.done += int64(n)
	if now := time.Now(); now.Sub(c.told) >= time.Second || err == io.EOF {
		c.told = now
		c.tell(c.done)
	}
	return n, err
}
