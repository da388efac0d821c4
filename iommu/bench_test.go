package iommu_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/proxstation/proxstation/internal/bench/machine"
	"github.com/proxstation/proxstation/iommu"
)

// BenchmarkRead reads all facts of a machine: PCI functions with BARs, reset
// methods and links, groups, IOMMUs, interrupts, modules, the boot loader, and
// the devices that the host needs. After each Read, the benchmark reads the
// same files without any evaluation. raw/op is the time for these plain reads,
// and ×raw is the time for Read divided by raw/op.
func BenchmarkRead(b *testing.B) {
	for _, n := range []int{40, 500, 4000} {
		b.Run(fmt.Sprintf("functions=%d", n), func(b *testing.B) {
			dir := b.TempDir()
			if err := machine.Write(dir, n); err != nil {
				b.Fatal(err)
			}
			steps, err := machine.Raw(dir)
			if err != nil {
				b.Fatal(err)
			}
			var read, raw time.Duration
			for b.Loop() {
				began := time.Now()
				facts, err := iommu.Read(os.DirFS(dir))
				if err != nil || len(facts.Functions) != n {
					b.Fatal(len(facts.Functions), err)
				}
				read += time.Since(began)
				began = time.Now()
				for _, step := range steps {
					if err := step(); err != nil {
						b.Fatal(err)
					}
				}
				raw += time.Since(began)
			}
			b.ReportMetric(float64(read.Microseconds())/float64(b.N), "µs-read/op")
			b.ReportMetric(float64(raw.Microseconds())/float64(b.N), "µs-raw/op")
			b.ReportMetric(read.Seconds()/raw.Seconds(), "×raw")
			b.ReportMetric(float64(len(steps)), "files/op")
		})
	}
}
