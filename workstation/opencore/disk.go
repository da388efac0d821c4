package opencore

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

const (
	blockSize = 1 << 16
	maxDisk   = 8 << 30   // the largest disk that is not compressed
	maxKept   = 512 << 20 // the most memory for changed blocks
	// maxUnzipped is the greatest size of a disk from a compressed file. Some
	// kilobytes of gzip can hold gigabytes of zeros. The largest published
	// image has 1 GiB.
	maxUnzipped = 2 << 30
)

// A disk is a raw disk whose content is read from base. Changes are kept in
// memory.
type disk struct {
	base   io.ReaderAt // nil if the disk is all zeros
	size   int64
	blocks map[int64][]byte // the changed blocks, by number
}

// ReadAt implements [io.ReaderAt].
func (d *disk) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at >= d.size {
		return 0, io.EOF
	}
	n := int(min(int64(len(p)), d.size-at))
	for done := 0; done < n; {
		number, offset := (at+int64(done))/blockSize, (at+int64(done))%blockSize
		part := p[done:n]
		part = part[:min(int64(len(part)), blockSize-offset)]
		if block, kept := d.blocks[number]; kept {
			copy(part, block[offset:])
		} else if d.base == nil {
			clear(part)
		} else if m, err := d.base.ReadAt(part, at+int64(done)); m < len(part) {
			return done + m, err
		}
		done += len(part)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt implements [io.WriterAt]. It does not change base.
func (d *disk) WriteAt(p []byte, at int64) (int, error) {
	if at < 0 || at+int64(len(p)) > d.size {
		return 0, io.ErrShortWrite
	}
	for done := 0; done < len(p); {
		number, offset := (at+int64(done))/blockSize, (at+int64(done))%blockSize
		block, kept := d.blocks[number]
		if !kept {
			if int64(len(d.blocks)) >= maxKept/blockSize {
				return done, errors.New("the changes take too much memory")
			}
			block = make([]byte, blockSize)
			if _, err := d.ReadAt(block[:min(blockSize, d.size-number*blockSize)], number*blockSize); err != nil && !errors.Is(err, io.EOF) {
				return done, err
			}
			d.blocks[number] = block
		}
		done += copy(block[offset:], p[done:])
	}
	return len(p), nil
}

// The function "unzip" reads a disk from a gzip stream into memory. Blocks of
// zeros take no memory. The disk may have at most limit bytes.
func unzip(r io.Reader, limit int64) (*disk, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, &ImageError{Found: "a gzip header", Why: err.Error()}
	}
	d := &disk{blocks: map[int64][]byte{}}
	for number := int64(0); ; number++ {
		block := make([]byte, blockSize)
		n, err := io.ReadFull(zip, block)
		d.size += int64(n)
		if len(bytes.TrimLeft(block[:n], "\x00")) > 0 {
			d.blocks[number] = block
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF) && n > 0 && zipEnds(zip):
			return d, nil
		case err != nil:
			return nil, &ImageError{Found: "gzip", Why: "it is damaged or cut off: " + err.Error()}
		case d.size > limit || int64(len(d.blocks)) > maxKept/blockSize:
			return nil, &ImageError{Found: "gzip", Why: fmt.Sprintf("it holds more than %d MiB, or more than %d MiB that are not zero", limit>>20, maxKept>>20)}
		}
	}
}

// zipEnds reports whether a gzip stream is complete, which means that it ends
// with its checksum.
func zipEnds(zip *gzip.Reader) bool {
	_, err := zip.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}
