package storage_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/proxstation/proxstation/storage"
)

func bigFile(t *testing.T, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMeasureReadsWithinItsBounds(t *testing.T) {
	t.Parallel()
	name := bigFile(t, 20<<20)
	last := 0.0
	began := time.Now()
	m, err := storage.Measure(t.Context(), name, &storage.MeasureOptions{Bytes: 4 * storage.MiB, Time: 2 * time.Second, Progress: func(done float64) {
		if done < last || done > 1 {
			t.Errorf("progress went from %v to %v", last, done)
		}
		last = done
	}})
	if errors.Is(err, storage.ErrMeasure) {
		t.Skip("this file system does not read past its cache: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if m.RandomReads <= 0 || m.Sequential <= 0 || last == 0 || time.Since(began) > time.Minute {
		t.Errorf("%v after %s, progress to %v", m, time.Since(began), last)
	}
}

func TestMeasureRefuses(t *testing.T) {
	t.Parallel()
	if _, err := storage.Measure(t.Context(), bigFile(t, 1<<20), nil); !errors.Is(err, storage.ErrMeasure) {
		t.Errorf("a small file: %v, want ErrMeasure", err)
	}
	if _, err := storage.Measure(t.Context(), filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := storage.Measure(t.Context(), bigFile(t, 20<<20), &storage.MeasureOptions{Time: -1}); !errors.Is(err, storage.ErrMeasure) {
		t.Errorf("a time below nothing: %v, want ErrMeasure", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := storage.Measure(ctx, bigFile(t, 20<<20), nil); !errors.Is(err, context.Canceled) && !errors.Is(err, storage.ErrMeasure) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	tests := []struct {
		random, sequential float64
		tier               storage.Tier
		want               int
	}{
		{20000, 2e9, storage.Tier1, 0}, {3000, 2e9, storage.Tier1, 1}, {3000, 400e6, storage.Tier1, 2}, {6000, 500e6, storage.Tier2, 0},
		{300, 35e6, storage.Tier2, 2}, {90, 160e6, storage.Tier3, 0}, {1, 1, storage.TierUnknown, 0},
	}
	for _, test := range tests {
		m := storage.Measurement{Path: "/dev/sda", RandomReads: test.random, Sequential: test.sequential}
		if findings := m.Compare(test.tier); len(findings) != test.want {
			t.Errorf("%v as tier %s: %v, want %d findings", m, test.tier, findings, test.want)
		}
	}
}

func ExampleMeasurement_Compare() {
	m := storage.Measurement{Path: "/dev/sdb", RandomReads: 400, Sequential: 35e6} // an SSD behind a USB 2 bridge
	for _, f := range m.Compare(storage.Tier2) {
		fmt.Println(f.ID, f.Seen)
	}
	// Output:
	// storage.slow-random 400 random reads/s, 1500 expected
	// storage.slow-sequential 33.4 MiB/s in sequence, 143.1 MiB/s expected
}
