// Package slow says how much of a long test suite runs. An ordinary run of the
// tests takes a sample of each suite, so that it ends within minutes on two
// cores. With PROXSTATION_WHOLE=1, which .ci/run sets, every case runs.
package slow

import (
	"hash/fnv"
	"os"
	"strings"
	"testing"
)

// Whole reports whether every case runs.
func Whole() bool { return os.Getenv("PROXSTATION_WHOLE") == "1" }

// Pick returns the cases of a suite that run. These are all cases in a whole
// run, and the first n cases otherwise. Pick logs how many cases do not run,
// and their names.
func Pick[C any](t testing.TB, n int, cases []C, name func(C) string) []C {
	t.Helper()
	if Whole() || len(cases) <= n {
		return cases
	}
	var left []string
	for _, c := range cases[n:] {
		left = append(left, name(c))
	}
	t.Logf("sampled: %d of %d cases run; PROXSTATION_WHOLE=1 also runs %s", n, len(cases), strings.Join(left, ", "))
	return cases[:n]
}

// Drawn reports whether a case runs. It is for suites with very many cases. In
// a whole run every case runs. Otherwise the case's name decides, so that about
// 1/share of all cases run.
func Drawn(name string, share uint32) bool {
	if Whole() {
		return true
	}
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return hash.Sum32()%share == 0
}
