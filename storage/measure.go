package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"

	"github.com/proxstation/proxstation"
)

// MeasureOptions bound a [Measure]. Nil is fine.
type MeasureOptions struct {
	// Bytes is how much is read at the most, in each of the two parts; 0 is
	// 256 MiB.
	Bytes Size
	// Time is how long each part takes at the most; 0 is five seconds.
	Time time.Duration
	// Progress is told how much of the whole is done, from 0 to 1.
	Progress func(done float64)
}

// A Measurement is how fast a file or device was read.
type Measurement struct {
	Path string
	// RandomReads is random reads of 4 KiB per second, one at a time.
	RandomReads float64
	// Sequential is bytes per second of reads of 1 MiB, one after the other.
	Sequential float64
}

// String returns the measurement for people.
func (m Measurement) String() string {
	return fmt.Sprintf("%s: %.0f random reads/s, %s/s in sequence", m.Path, m.RandomReads, Size(m.Sequential).Human())
}

// ErrMeasure means that nothing could be measured: the file is too small, its
// file system does not read past its cache, or the bounds are below zero.
var ErrMeasure = errors.New("cannot be measured")

const (
	randomBlock     = 4 << 10
	sequentialBlock = 1 << 20
	// smallest is the least size that is worth reading at random: less lies in
	// the disk's own cache.
	smallest = 16 * MiB
)

// Measure reads a file or a device past the kernel's cache (O_DIRECT), at
// random and in sequence, and never writes. It is for Linux; elsewhere the
// error matches [errors.ErrUnsupported]. Where the file system does not know
// O_DIRECT (tmpfs) or the file is smaller than 16 MiB, it matches [ErrMeasure].
//
// It is not fio: what is asked is which tier a disk belongs to, which differs
// by factors of ten; one reader at a time answers that, with no program to
// install on the host and no way to write by mistake.
func Measure(ctx context.Context, path string, opts *MeasureOptions) (Measurement, error) {
	if opts == nil {
		opts = &MeasureOptions{}
	}
	p := &probe{ctx: ctx, opts: *opts}
	if p.opts.Bytes == 0 {
		p.opts.Bytes = 256 * MiB
	}
	if p.opts.Time == 0 {
		p.opts.Time = 5 * time.Second
	}
	if p.opts.Bytes < 0 || p.opts.Time < 0 {
		return Measurement{}, fmt.Errorf("storage: %s: %w: bounds of %s and %s", path, ErrMeasure, p.opts.Bytes, p.opts.Time)
	}
	f, err := openDirect(path)
	if err != nil {
		return Measurement{}, fmt.Errorf("storage: %w: %w", ErrMeasure, err)
	}
	defer f.Close()
	end, err := f.Seek(0, 2)
	if err != nil {
		return Measurement{}, fmt.Errorf("storage: %s: %w", path, err)
	}
	if Size(end) < smallest {
		return Measurement{}, fmt.Errorf("storage: %s: %w: it has %s, %s is the least", path, ErrMeasure, Size(end).Human(), smallest.Human())
	}
	m := Measurement{Path: path}
	reads, took, err := p.read(f, randomBlock, 0, func(int64) int64 { return rand.Int64N(end/randomBlock) * randomBlock })
	if err != nil {
		return Measurement{}, fmt.Errorf("storage: %s: %w", path, err)
	}
	m.RandomReads = float64(reads) / took.Seconds()
	reads, took, err = p.read(f, sequentialBlock, 0.5, func(n int64) int64 { return n * sequentialBlock % (end / sequentialBlock * sequentialBlock) })
	if err != nil {
		return Measurement{}, fmt.Errorf("storage: %s: %w", path, err)
	}
	m.Sequential = float64(reads*sequentialBlock) / took.Seconds()
	return m, nil
}

// A probe is one Measure under way.
type probe struct {
	ctx  context.Context
	opts MeasureOptions
}

// read reads blocks at the offsets that at says, within the bounds, and
// returns how many and how long it took.
func (p *probe) read(f *os.File, block int64, done float64, at func(n int64) int64) (n int64, took time.Duration, err error) {
	buffer := aligned(int(block))
	began := time.Now()
	for ; n*block < int64(p.opts.Bytes) && took < p.opts.Time; n++ {
		if err := context.Cause(p.ctx); err != nil {
			return 0, 0, err
		}
		if _, err := f.ReadAt(buffer, at(n)); err != nil {
			return 0, 0, err
		}
		took = time.Since(began)
		if p.opts.Progress != nil && n%64 == 0 {
			p.opts.Progress(done + max(float64(n*block)/float64(p.opts.Bytes), took.Seconds()/p.opts.Time.Seconds())/2)
		}
	}
	return n, max(took, time.Nanosecond), nil
}

// aligned returns a buffer that begins at a multiple of 4 KiB, as O_DIRECT
// wants it (open(2)).
func aligned(n int) []byte {
	const page = 4 << 10
	buffer := make([]byte, n+page)
	skip := (page - int(uintptr(unsafe.Pointer(&buffer[0]))%page)) % page
	return buffer[skip : skip+n]
}

// promises holds what a tier is expected to do at the least: an order of
// magnitude below what its media can, so that only what does not belong there
// stays below it.
var promises = map[Tier]struct{ randomReads, sequential float64 }{
	Tier1: {5000, 600e6}, // NVMe: 10,000 and more at queue depth 1, over 1 GB/s
	Tier2: {1500, 150e6}, // SATA SSD: 5,000 and more, 500 MB/s
	Tier3: {30, 50e6},    // hard disk: 80 to 200, 100 to 250 MB/s
}

// Compare says where a measurement stays below what a tier promises: a worn
// SSD, an SSD behind a USB bridge, a disk that is busy.
func (m Measurement) Compare(tier Tier) []proxstation.Finding {
	promise, known := promises[tier]
	if !known {
		return nil
	}
	var findings []proxstation.Finding
	add := func(id, seen string) {
		findings = append(findings, proxstation.Finding{ID: id, Severity: proxstation.Warning, Subject: m.Path, Seen: seen,
			Why: fmt.Sprintf("it is slower than tier %s (%s) should be: worn, busy, or behind a slow bridge", tier, tier.Media()),
			Fix: "measure again when nothing else uses it; check its wear and its cable; else set a slower tier for its storage"})
	}
	if m.RandomReads < promise.randomReads {
		add("storage.slow-random", fmt.Sprintf("%.0f random reads/s, %.0f expected", m.RandomReads, promise.randomReads))
	}
	if m.Sequential < promise.sequential {
		add("storage.slow-sequential", fmt.Sprintf("%s/s in sequence, %s/s expected", Size(m.Sequential).Human(), Size(promise.sequential).Human()))
	}
	return findings
}
