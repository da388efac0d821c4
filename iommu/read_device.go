package iommu

import (
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/sysfs"
)

// Flags of a line of the file resource (include/linux/ioport.h).
const (
	resourceIO       = 0x00000100
	resourceMemory   = 0x00000200
	resourcePrefetch = 0x00002000
	resourceUnset    = 0x20000000 // IORESOURCE_UNSET: the kernel found no address
)

// The method "bars" returns the device's base address registers. The first six
// lines of the file named "resource" hold their start, end and flags.
func (d device) bars() []BAR {
	text, ok, err := sysfs.Optional(d.sys, d.file("resource"))
	if err != nil || !ok {
		return nil
	}
	return parseResource(text, d.sizes)
}

// parseResource parses the text of the file resource. The function "sizes"
// returns the possible sizes of a BAR.
func parseResource(text string, sizes func(bar int) []uint64) []BAR {
	bars := []BAR{}
	for i, line := range strings.Split(text, "\n") {
		if i > 5 {
			break
		}
		start, rest, ok1 := hexField(line)
		end, rest, ok2 := hexField(rest)
		flags, _, ok3 := hexField(rest)
		if !ok1 || !ok2 || !ok3 {
			return nil
		}
		if flags&(resourceIO|resourceMemory) == 0 || end <= start {
			continue
		}
		bars = append(bars, BAR{Unset: flags&resourceUnset != 0, Index: i, Start: start, Bytes: end - start + 1, IO: flags&resourceIO != 0,
			Prefetchable: flags&resourcePrefetch != 0, Resizable: sizes(i)})
	}
	return bars
}

// hexField parses a number such as "0x0000000084000000" at the beginning of a
// line.
func hexField(line string) (n uint64, rest string, ok bool) {
	field, rest, _ := strings.Cut(strings.TrimLeft(line, " "), " ")
	digits, ok := strings.CutPrefix(field, "0x")
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, rest, ok && err == nil
}

// The method "sizes" reads resourceN_resize. Bit n is set if 2^n MiB is possible.
func (d device) sizes(bar int) []uint64 {
	text := d.text("resource" + strconv.Itoa(bar) + "_resize")
	mask, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		return nil
	}
	var sizes []uint64
	for bit := range 44 {
		if mask>>bit&1 == 1 {
			sizes = append(sizes, 1<<(20+bit))
		}
	}
	return sizes
}

// The method "power" reads the state of runtime power management.
func (d device) power() *Power {
	p := Power{State: d.text("power_state"), Runtime: d.text("power/runtime_status")}
	if allowed := d.text("d3cold_allowed"); allowed != "" {
		p.D3ColdAllowed = proxstation.AnswerOf(allowed == "1")
	}
	if p.State == "" {
		return nil
	}
	return &p
}

// sriov reads the number of virtual functions.
func (d device) sriov() *SRIOV {
	total, err := strconv.Atoi(d.text("sriov_totalvfs"))
	if err != nil {
		return nil
	}
	now, _ := strconv.Atoi(d.text("sriov_numvfs"))
	return &SRIOV{Total: total, Now: now}
}
