package iommu

import "slices"

// realModules holds modules of Linux and of NVIDIA's drivers whose names are so
// similar to a name in "drivers" or to vfio_pci that they look like a typing
// error. Their names are right, even if this kernel does not have the module.
var realModules = []string{"uhci_hcd", "ohci_hcd", "ehci_hcd", "vhci_hcd", "whci_hcd", "ehci_pci", "ohci_pci", "sdhci_pci",
	"nvmet", "nvidia_fs", "snd_hda_codec_nvhdmi", "vfio_ccw"}

// The function "nearModule" returns the module whose name was misspelt. It
// returns "" for the name of a real module, which needs no correction.
func nearModule(name string, modules []string, limit int) string {
	if slices.Contains(realModules, name) {
		return ""
	}
	return nearest(name, modules, limit)
}

// The function "nearest" returns the name that is most similar to a text. The
// parameter "limit" says how many letters may be added, missing, changed or
// swapped with a neighbour. If no name is that similar, "nearest" returns "".
func nearest(text string, names []string, limit int) string {
	best := ""
	for _, name := range names {
		if max(len(text)-len(name), len(name)-len(text)) > limit {
			continue // the lengths differ by more than the limit
		}
		if d := distance(text, name); d <= limit && d < len(name)/2 {
			best, limit = name, d-1
		}
	}
	return best
}

// The function "distance" returns the smallest number of edits that turn one
// text into the other. An edit adds, removes or changes a letter, or swaps it
// with its neighbour (optimal string alignment).
func distance(a, b string) int {
	// Three rows of the table are enough: the current row and the two rows
	// before it.
	n := len(b) + 1
	rows := make([]int, 3*n)
	before, last, row := rows[:n], rows[n:2*n], rows[2*n:]
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
