// Package slow says how much of a long test suite runs. A plain run of the
// tests takes a sample of each suite, so that it ends within minutes on two
// cores. With PROXSTATION_WHOLE=1 every case runs, as in .ci/run.
package slow

import (
	"hash/fnv"
	"os"
	"strings"
	"testing"
)

// Whole reports whether every case runs.
func Whole() bool { return os.Getenv("PROXSTATION_WHOLE") == "1" }

// Pick returns the cases of a suite that run: all cases in a whole run, else
// the first n cases. It logs the number and the names of the other cases.
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

// Drawn reports whether a case of a suite with very many cases runs. In a whole
// run every case runs. Otherwise one case in share runs, chosen by its name.
func Drawn(name string, share uint32) bool {
	if Whole() {
		return true
	}
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return hash.Sum32()%share == 0
}
