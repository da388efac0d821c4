package iommu

import (
	"fmt"
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
	resourceUnset    = 0x20000000 // IORESOURCE_UNSET: no address was found
)

// bars reads the first six lines of the file resource: start, end and flags
// of the base address registers.
func (d device) bars() []BAR {
	text, ok, err := sysfs.Optional(d.sys, d.file("resource"))
	if err != nil || !ok {
		return nil
	}
	bars := []BAR{}
	for i, line := range strings.Split(text, "\n") {
		var start, end, flags uint64
		if i > 5 {
			break
		}
		if _, err := fmt.Sscanf(line, "0x%x 0x%x 0x%x", &start, &end, &flags); err != nil {
			return nil
		}
		if flags&(resourceIO|resourceMemory) == 0 || end <= start {
			continue
		}
		bars = append(bars, BAR{Unset: flags&resourceUnset != 0, Index: i, Start: start, Bytes: end - start + 1, IO: flags&resourceIO != 0,
			Prefetchable: flags&resourcePrefetch != 0, Resizable: d.sizes(i)})
	}
	return bars
}

// sizes reads resourceN_resize: bit n is set if 2^n MiB is possible.
func (d device) sizes(bar int) []uint64 {
	text := d.text(fmt.Sprintf("resource%d_resize", bar))
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

// power reads what runtime power management made of the function.
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
