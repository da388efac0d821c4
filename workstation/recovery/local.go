package recovery

import (
	"context"
	"crypto/rsa"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Open returns the chunklist of a recovery system that was downloaded before,
// after verifying it and the image beside it. Without keys, those of
// [AppleKeys] count. The error is that of [ParseChunklist],
// [Chunklist.Verify] or [Chunklist.VerifyImage], or the file system's.
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

// SaveDisk writes the disk of [WriteDisk] for the image in dir to the file
// named name, which appears only when it is whole. The error is that of
// WriteDisk, the file system's, or ctx's.
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

// cancelled is a reader that ends with its context.
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
