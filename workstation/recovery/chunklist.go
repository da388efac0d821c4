package recovery

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Errors of a chunklist and of an image that does not match it.
var (
	// ErrChunklist reports a file that is not a chunklist, or a chunklist of an
	// unknown kind.
	ErrChunklist = errors.New("recovery: malformed chunklist")
	// ErrSignature reports a chunklist that was not signed with a trusted key:
	// it was changed, or it comes from somebody else.
	ErrSignature = errors.New("recovery: the chunklist's signature is not Apple's")
	// ErrUnsigned reports a chunklist with a checksum in place of the
	// signature. Anyone can make such a chunklist.
	ErrUnsigned = errors.New("recovery: the chunklist is not signed")
	// ErrImage reports an image that does not match its chunklist. The error is
	// a [*ImageError].
	ErrImage = errors.New("recovery: the image does not match its chunklist")
)

// A Chunk is a range of an image's bytes.
type Chunk struct {
	// Size is the length of the chunk in bytes, at least 1. Apple uses chunks
	// of 10 MiB.
	Size uint32
	// SHA256 is the checksum of the chunk.
	SHA256 [sha256.Size]byte
}

// A Chunklist lists the parts of an image with their checksums. A parsed
// chunklist cannot be trusted before [Chunklist.Verify].
type Chunklist struct {
	// Chunks holds the parts of the image, from its beginning to its end.
	Chunks []Chunk

	data      []byte // the content of the file
	signature []byte // little endian, as in the file; nil if there is no signature
	signed    int    // the number of bytes of data that the signature covers
}

// The file begins with a header of 36 bytes: magic, header's size, version,
// chunk method, signature method, a pad byte, number of chunks, offset of the
// chunks, offset of the signature. All numbers are little endian. After the
// header come the chunks (size, SHA-256) and the signature.
const (
	chunklistMagic = "CNKL"
	headerSize     = 36
	chunkSize      = 4 + sha256.Size
	fileVersion    = 1
	methodSHA256   = 1
	methodRSA2048  = 1
	methodDigest   = 2
	signatureSize  = 256
	maxChunklist   = 16 << 20  // far more than an image of 100 GiB needs
	maxImage       = 1<<32 - 1 // the largest file of FAT32
)

// ParseChunklist parses a chunklist and checks everything except its signature.
// The error matches [ErrChunklist].
func ParseChunklist(data []byte) (*Chunklist, error) {
	malformed := func(format string, args ...any) (*Chunklist, error) {
		return nil, fmt.Errorf("%w: %s", ErrChunklist, fmt.Sprintf(format, args...))
	}
	if len(data) > maxChunklist {
		return malformed("more than %d MiB", maxChunklist>>20)
	}
	if len(data) < headerSize || string(data[:4]) != chunklistMagic {
		return malformed("does not begin with %s and a header", chunklistMagic)
	}
	le := binary.LittleEndian
	if n := le.Uint32(data[4:]); n != headerSize {
		return malformed("header of %d bytes, want %d", n, headerSize)
	}
	if data[8] != fileVersion || data[9] != methodSHA256 {
		return malformed("version %d, chunk method %d: want %d and %d", data[8], data[9], fileVersion, methodSHA256)
	}
	length, known := map[byte]int{methodRSA2048: signatureSize, methodDigest: sha256.Size}[data[10]]
	if !known {
		return malformed("signature method %d", data[10])
	}
	count, chunks, signature := le.Uint64(data[12:]), le.Uint64(data[20:]), le.Uint64(data[28:])
	if count == 0 || count > uint64(len(data)/chunkSize) || chunks != headerSize || signature != headerSize+count*chunkSize {
		return malformed("%d chunks at %d, signature at %d", count, chunks, signature)
	}
	if want := signature + uint64(length); uint64(len(data)) != want {
		return malformed("%d bytes, want %d", len(data), want)
	}
	list := &Chunklist{data: bytes.Clone(data), signed: int(signature)}
	if data[10] == methodRSA2048 {
		list.signature = list.data[signature:]
	} else if sum := sha256.Sum256(data[:signature]); !bytes.Equal(sum[:], data[signature:]) {
		return malformed("its checksum is wrong")
	}
	for entry := range slices.Chunk(data[headerSize:signature], chunkSize) {
		chunk := Chunk{Size: le.Uint32(entry), SHA256: [sha256.Size]byte(entry[4:])}
		if chunk.Size == 0 {
			return malformed("chunk %d is empty", len(list.Chunks))
		}
		list.Chunks = append(list.Chunks, chunk)
	}
	return list, nil
}

// Bytes returns the file from which the chunklist was parsed.
func (c *Chunklist) Bytes() []byte { return bytes.Clone(c.data) }

// Size returns the length of the image in bytes.
func (c *Chunklist) Size() int64 {
	var size int64
	for _, chunk := range c.Chunks {
		size += int64(chunk.Size)
	}
	return size
}

// Verify checks the chunklist's signature, an RSA signature of 2048 bits over
// its SHA-256 (PKCS #1 v1.5). It uses the given keys, or [AppleKeys] if no keys
// are given. The error matches [ErrSignature] or [ErrUnsigned].
func (c *Chunklist) Verify(keys ...*rsa.PublicKey) error {
	if c.signature == nil {
		return ErrUnsigned
	}
	if len(keys) == 0 {
		keys = AppleKeys()
	}
	bigEndian := bytes.Clone(c.signature)
	slices.Reverse(bigEndian)
	sum := sha256.Sum256(c.data[:c.signed])
	for _, key := range keys {
		if rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], bigEndian) == nil {
			return nil
		}
	}
	return ErrSignature
}

// An ImageError says where an image differs from its chunklist. It matches
// [ErrImage].
type ImageError struct {
	// Chunk is the number of the chunk, counted from 0. It is -1 for bytes
	// after the last chunk.
	Chunk int
	// Offset is where the chunk begins in the image, in bytes.
	Offset int64
	// The field Short says that the image ends inside the chunk. Otherwise the
	// chunk's content is wrong.
	Short bool
}

// Error implements error.
func (e *ImageError) Error() string {
	switch {
	case e.Chunk < 0:
		return fmt.Sprintf("%v: it has data after its end at byte %d", ErrImage, e.Offset)
	case e.Short:
		return fmt.Sprintf("%v: it ends in chunk %d at byte %d", ErrImage, e.Chunk, e.Offset)
	}
	return fmt.Sprintf("%v: chunk %d at byte %d has another checksum", ErrImage, e.Chunk, e.Offset)
}

// Is reports whether target is [ErrImage].
func (e *ImageError) Is(target error) bool { return target == ErrImage }

// VerifyImage reads an image to its end and returns nil if every chunk matches
// the chunklist. The error is a [*ImageError], or the reader's error.
func (c *Chunklist) VerifyImage(r io.Reader) error {
	_, err := c.verify(r, 0, io.Discard, nil)
	if err != nil {
		return err
	}
	return atEnd(r, c.Size())
}

// The method "verify" copies an image's chunks from r to w and checks each
// chunk. It begins with c.Chunks[first]. It returns the number of correct
// chunks, counted from the image's beginning. The data up to the end of these
// chunks can be trusted.
func (c *Chunklist) verify(r io.Reader, first int, w io.Writer, right func(done int64)) (chunks int, err error) {
	var offset int64
	for _, chunk := range c.Chunks[:first] {
		offset += int64(chunk.Size)
	}
	hash := sha256.New()
	for i, chunk := range c.Chunks[first:] {
		hash.Reset()
		if _, err := io.CopyN(io.MultiWriter(hash, w), r, int64(chunk.Size)); errors.Is(err, io.EOF) {
			return first + i, &ImageError{Chunk: first + i, Offset: offset, Short: true}
		} else if err != nil {
			return first + i, err
		}
		if [sha256.Size]byte(hash.Sum(nil)) != chunk.SHA256 {
			return first + i, &ImageError{Chunk: first + i, Offset: offset}
		}
		offset += int64(chunk.Size)
		if right != nil {
			right(offset)
		}
	}
	return len(c.Chunks), nil
}

func atEnd(r io.Reader, size int64) error {
	if n, err := io.CopyN(io.Discard, r, 1); n != 0 {
		return &ImageError{Chunk: -1, Offset: size}
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
