package qmconf

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// mostCPUs is larger than the number of CPUs of any kernel (CONFIG_NR_CPUS is
// at most 8192).
const mostCPUs = 8192

var cpuRange = regexp.MustCompile(`^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$`)

// ParseCPUs parses a list of logical CPUs, "0-3,8", as PVE parses its key
// affinity (pve-common PVE/CpuSet.pm, parse_cpuset). It returns the CPUs in
// order, each CPU once.
func ParseCPUs(list string) ([]int, error) {
	var cpus []int
	for part := range strings.SplitSeq(list, ",") {
		match := cpuRange.FindStringSubmatch(part)
		if match == nil {
			return nil, fmt.Errorf("%q is no CPU and no range of CPUs: want a list such as 0-3,8", part)
		}
		first, _ := strconv.Atoi(match[1])
		last := first
		if match[2] != "" {
			last, _ = strconv.Atoi(match[2])
		}
		if last < first || last >= mostCPUs {
			return nil, fmt.Errorf("%q is no range of CPUs", part)
		}
		for cpu := first; cpu <= last; cpu++ {
			cpus = append(cpus, cpu)
		}
	}
	slices.Sort(cpus)
	return slices.Compact(cpus), nil
}

// FormatCPUs writes CPUs as a list, with ranges for consecutive CPUs.
func FormatCPUs(cpus []int) string {
	var ranges []string
	for i := 0; i < len(cpus); {
		j := i
		for j+1 < len(cpus) && cpus[j+1] == cpus[j]+1 {
			j++
		}
		text := strconv.Itoa(cpus[i])
		if j > i {
			text += "-" + strconv.Itoa(cpus[j])
		}
		ranges, i = append(ranges, text), j+1
	}
	return strings.Join(ranges, ",")
}
