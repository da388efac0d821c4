package pvetest

import (
	"maps"
	"slices"
)

// Served returns the methods of PVE's API that the embedded node serves, sorted:
// "GET /nodes/{node}/qemu". Every other method of PVE answers 501, and the message
// says that PVE has the method.
func Served() []string {
	return slices.Sorted(maps.Keys(handlers()))
}
