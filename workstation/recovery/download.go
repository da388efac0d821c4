package recovery

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// The names of the files that [Client.Download] leaves behind.
const (
	ImageName     = "BaseSystem.dmg"
	ChunklistName = "BaseSystem.chunklist"
)

// The constant "partial" is the ending of an image's name until all of the
// image has been verified.
const partial = ".part"

// Download fetches an asset into an existing directory. It returns the asset's
// chunklist, whose signature has been verified. Both files get their names only
// after every byte of them has been verified. An image that is already in the
// directory is verified. It is kept if it is right, and replaced if it is not.
//
// The image is verified chunk by chunk as it arrives. If the connection breaks,
// Download continues after the last correct chunk, as long as every connection
// brings at least one chunk. If ctx ends or the process dies, the next Download
// into the same directory continues after the last correct chunk too. A
// connection that brings nothing for a minute counts as broken. The error is an
// error of the network or the file system, or matches [ErrService],
// [ErrStalled], [ErrChunklist], [ErrSignature], [ErrUnsigned] or [ErrImage].
func (c *Client) Download(ctx context.Context, asset Asset, dir string) (*Chunklist, error) {
	if asset.tokens == nil {
		return nil, fmt.Errorf("%w: the asset does not come from Find", ErrService)
	}
	list, err := c.chunklist(ctx, asset)
	if err != nil {
		return nil, err
	}
	image := filepath.Join(dir, ImageName)
	if err := verifyFile(ctx, image, list); err != nil {
		if errors.Is(err, ErrImage) {
			err = os.Rename(image, image+partial) // the correct chunks of the image are kept
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("recovery: %w", err)
		}
		if err := c.image(ctx, asset, list, image); err != nil {
			return nil, err
		}
	}
	c.report("verified", list.Size(), list)
	if err := writeFile(filepath.Join(dir, ChunklistName), list.data); err != nil {
		return nil, err
	}
	return list, nil
}

func (c *Client) chunklist(ctx context.Context, asset Asset) (*Chunklist, error) {
	response, err := c.get(ctx, asset.Chunklist, asset.tokens.chunklist, 0)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(response)
	data, err := io.ReadAll(io.LimitReader(response.Body, maxChunklist+1))
	if err != nil {
		return nil, fmt.Errorf("recovery: %w", err)
	}
	list, err := ParseChunklist(data)
	if err != nil {
		return nil, err
	}
	if err := list.Verify(c.Keys...); err != nil {
		return nil, err
	}
	return list, nil
}

func verifyFile(ctx context.Context, name string, list *Chunklist) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return list.VerifyImage(cancelled{ctx, file})
}

// The method "image" fetches the image. It renames the file when the image is
// complete.
func (c *Client) image(ctx context.Context, asset Asset, list *Chunklist, name string) (err error) {
	file, err := os.OpenFile(name+partial, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	defer func() {
		if closeErr := file.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("recovery: %w", closeErr)
		}
		if err == nil {
			if err = os.Rename(name+partial, name); err != nil {
				err = fmt.Errorf("recovery: %w", err)
			}
		}
	}()
	c.report("verifying what is there", 0, list)
	done, _ := list.verify(cancelled{ctx, file}, 0, io.Discard, func(n int64) { c.report("verifying what is there", n, list) })
	for {
		before := done
		done, err = c.more(ctx, asset, list, file, done)
		if err == nil {
			return file.Sync()
		}
		if ctx.Err() != nil {
			err = ctx.Err() // the other error is only a consequence of the ended context
		}
		var wrong *ImageError
		if ctx.Err() != nil || done == before || errors.As(err, &wrong) && !wrong.Short {
			return fmt.Errorf("recovery: image: %w", err)
		}
	}
}

// The method "more" fetches the chunks from Chunks[done] on. It first removes
// the data in the file after the last correct chunk.
func (c *Client) more(ctx context.Context, asset Asset, list *Chunklist, file *os.File, done int) (int, error) {
	from := (&Chunklist{Chunks: list.Chunks[:done]}).Size()
	if err := cut(file, from); err != nil || done == len(list.Chunks) {
		return done, err
	}
	response, err := c.get(ctx, asset.Image, asset.tokens.image, from)
	if err != nil {
		return done, err
	}
	defer closeQuietly(response)
	if err := skipTo(response, from); err != nil {
		return done, err
	}
	c.report("downloading", from, list)
	done, err = list.verify(response.Body, done, file, func(n int64) { c.report("downloading", n, list) })
	if err == nil {
		if err = atEnd(response.Body, list.Size()); err != nil {
			done-- // without this, the next Download would take the image for complete
		}
	}
	if err != nil {
		kept := (&Chunklist{Chunks: list.Chunks[:done]}).Size()
		return done, errors.Join(err, cut(file, kept))
	}
	return done, nil
}

func cut(file *os.File, size int64) error {
	if err := file.Truncate(size); err != nil {
		return err
	}
	_, err := file.Seek(size, io.SeekStart)
	return err
}

// skipTo skips the bytes before the offset "from". An answer contains these
// bytes if the server ignored that only a part was requested.
func skipTo(response *http.Response, from int64) error {
	if response.StatusCode == http.StatusOK {
		_, err := io.CopyN(io.Discard, response.Body, from)
		return err
	}
	if !strings.HasPrefix(response.Header.Get("Content-Range"), fmt.Sprintf("bytes %d-", from)) {
		return serviceError(response, "sends another part of the file than the requested part")
	}
	return nil
}

func (c *Client) report(message string, done int64, list *Chunklist) {
	if c.Progress != nil {
		c.Progress(Event{Message: message, Done: done, Total: list.Size()})
	}
}

// writeFile writes a file in such a way that the file never exists with only a
// part of its content.
func writeFile(name string, data []byte) error {
	if err := os.WriteFile(name+partial, data, 0o644); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	if err := os.Rename(name+partial, name); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	return nil
}
