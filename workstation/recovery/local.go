package recovery

import (
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Open verifies a recovery system that was downloaded before, and returns its
// chunklist. It first checks the signature with the given keys, or with
// [AppleKeys] if no keys are given. Then it checks the image beside the
// chunklist. The error comes from [ParseChunklist], [Chunklist.Verify],
// [Chunklist.VerifyImage] or the file system.
func Open(dir string, keys ...*rsa.PublicKey) (*Chunklist, error) {
	data, err := os.ReadFile(filepath.Join(dir, ChunklistName))
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	list, err := ParseChunklist(data)
	if err != nil {
		return nil, err
	}
	if err := list.Verify(keys...); err != nil {
		return nil, err
	}
	if err := verifyFile(context.Background(), filepath.Join(dir, ImageName), list); err != nil {
		return nil, fmt.Errorf("recovery: %s: %w", ImageName, err)
	}
	return list, nil
}

// SaveDisk writes the disk of [WriteDisk], with the image in dir, to a file.
// The file gets its name only when it is complete. The error comes from
// WriteDisk, the file system or ctx.
func (c *Chunklist) SaveDisk(ctx context.Context, dir, name string) (err error) {
	image, err := os.Open(filepath.Join(dir, ImageName))
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	defer func() { _ = image.Close() }()
	disk, err := os.Create(name + partial)
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	defer func() {
		if closeErr := disk.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("recovery: %w", closeErr)
		}
		if err != nil {
			_ = os.Remove(name + partial)
		} else if err = os.Rename(name+partial, name); err != nil {
			err = fmt.Errorf("recovery: %w", err)
		}
	}()
	if err := WriteDisk(disk, c, cancelled{ctx, image}); err != nil {
		return err
	}
	if err := disk.Sync(); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	return nil
}

// The type "cancelled" is a reader that returns an error once its context has
// ended.
type cancelled struct {
	ctx context.Context
	io.Reader
}

func (c cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(p)
}
