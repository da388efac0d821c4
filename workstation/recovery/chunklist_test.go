package recovery

import (
	"bytes"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestParseChunklistRefuses(t *testing.T) {
	t.Parallel()
	good := sign(t, testImage(1, 1000), 300, mustKey(t, ourKey))
	if list, err := ParseChunklist(good); err != nil || !bytes.Equal(list.Bytes(), good) {
		t.Fatal(err)
	}
	unsigned := sign(t, testImage(1, 1000), 300, nil)
	le := binary.LittleEndian
	with := func(data []byte, change func(b []byte)) []byte {
		b := bytes.Clone(data)
		change(b)
		return b
	}
	for name, data := range map[string][]byte{
		"empty":                  nil,
		"header only":            good[:36],
		"half a header":          good[:20],
		"magic":                  with(good, func(b []byte) { b[0] = 'X' }),
		"header size":            with(good, func(b []byte) { le.PutUint32(b[4:], 40) }),
		"file version":           with(good, func(b []byte) { b[8] = 2 }),
		"chunk method":           with(good, func(b []byte) { b[9] = 2 }),
		"signature method":       with(good, func(b []byte) { b[10] = 3 }),
		"signature method 2":     with(good, func(b []byte) { b[10] = 2 }),
		"no chunks":              with(good, func(b []byte) { le.PutUint64(b[12:], 0); le.PutUint64(b[28:], 36) }),
		"more chunks than bytes": with(good, func(b []byte) { le.PutUint64(b[12:], 1<<62) }),
		"chunks that overflow":   with(good, func(b []byte) { le.PutUint64(b[12:], 1<<62); le.PutUint64(b[28:], 36) }),
		"chunks elsewhere":       with(good, func(b []byte) { le.PutUint64(b[20:], 40) }),
		"signature elsewhere":    with(good, func(b []byte) { le.PutUint64(b[28:], 36) }),
		"a byte less":            good[:len(good)-1],
		"a byte more":            append(bytes.Clone(good), 0),
		"an empty chunk":         with(good, func(b []byte) { le.PutUint32(b[36:], 0) }),
		"wrong checksum":         with(unsigned, func(b []byte) { b[len(b)-1] ^= 1 }),
		"huge":                   make([]byte, maxChunklist+1),
	} {
		if list, err := ParseChunklist(data); !errors.Is(err, ErrChunklist) {
			t.Errorf("%s: %+v, %v, want ErrChunklist", name, list, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	ours, other := mustKey(t, ourKey), mustKey(t, otherKey)
	signed := sign(t, testImage(1, 1000), 300, ours)
	tampered := bytes.Clone(signed)
	tampered[40] ^= 1 // a checksum
	padded := bytes.Clone(signed)
	padded[11] = 1 // the signature also covers the pad byte
	for name, test := range map[string]struct {
		data []byte
		keys []*rsa.PublicKey
		want error
	}{
		"signed":            {signed, []*rsa.PublicKey{&ours.PublicKey}, nil},
		"signed by one":     {signed, []*rsa.PublicKey{&other.PublicKey, &ours.PublicKey}, nil},
		"wrong key":         {signed, []*rsa.PublicKey{&other.PublicKey}, ErrSignature},
		"not Apple's":       {signed, nil, ErrSignature},
		"tampered checksum": {tampered, []*rsa.PublicKey{&ours.PublicKey}, ErrSignature},
		"tampered header":   {padded, []*rsa.PublicKey{&ours.PublicKey}, ErrSignature},
		"checksum only":     {sign(t, testImage(1, 1000), 300, nil), []*rsa.PublicKey{&ours.PublicKey}, ErrUnsigned},
	} {
		list, err := ParseChunklist(test.data)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := list.Verify(test.keys...); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

func TestVerifyImage(t *testing.T) {
	t.Parallel()
	image := testImage(1, 1000)
	list, err := ParseChunklist(sign(t, image, 300, mustKey(t, ourKey)))
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(image)
	flipped[650] ^= 0x80
	swapped := append(append(bytes.Clone(image[300:600]), image[:300]...), image[600:]...)
	for name, test := range map[string]struct {
		image []byte
		want  *ImageError
	}{
		"right":                {image, nil},
		"flipped":              {flipped, &ImageError{Chunk: 2, Offset: 600}},
		"swapped":              {swapped, &ImageError{Chunk: 0}},
		"empty":                {nil, &ImageError{Chunk: 0, Short: true}},
		"truncated":            {image[:999], &ImageError{Chunk: 3, Offset: 900, Short: true}},
		"cut at a chunk's end": {image[:900], &ImageError{Chunk: 3, Offset: 900, Short: true}},
		"longer":               {append(bytes.Clone(image), 0), &ImageError{Chunk: -1, Offset: 1000}},
	} {
		err := list.VerifyImage(iotest.OneByteReader(bytes.NewReader(test.image)))
		var got *ImageError
		if errors.As(err, &got) != (test.want != nil) || test.want != nil && (*got != *test.want || !errors.Is(err, ErrImage)) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
	if err := list.VerifyImage(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) || errors.Is(err, ErrImage) {
		t.Errorf("an unreadable image: %v", err)
	}
}

func TestAppleKeys(t *testing.T) {
	t.Parallel()
	keys := AppleKeys()
	if len(keys) != 2 {
		t.Fatalf("%d keys", len(keys))
	}
	for i, key := range keys {
		if key.N.BitLen() != 2048 || key.N.Bit(0) != 1 || key.E != 65537 {
			t.Errorf("key %d: %d bits, exponent %d", i, key.N.BitLen(), key.E)
		}
	}
	keys[0].N.SetInt64(1)
	if AppleKeys()[0].N.BitLen() != 2048 {
		t.Error("a caller can change the keys of others")
	}
}

func FuzzParseChunklist(f *testing.F) {
	f.Add(sign(f, testImage(1, 1000), 300, mustKey(f, ourKey)))
	f.Add(sign(f, testImage(1, 1), 1, nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseChunklist(data)
		if err != nil {
			if !errors.Is(err, ErrChunklist) {
				t.Error(err)
			}
			return
		}
		if !bytes.Equal(list.Bytes(), data) || len(list.Chunks) == 0 || list.Size() < int64(len(list.Chunks)) {
			t.Errorf("%d bytes became %d, with %d chunks of %d bytes", len(data), len(list.Bytes()), len(list.Chunks), list.Size())
		}
		if list.Verify() == nil {
			t.Error("made a chunklist that Apple has signed")
		}
	})
}
