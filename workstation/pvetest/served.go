package pvetest

import (
	"maps"
	"slices"
)

// Served returns the methods of PVE's API that the embedded node serves,
// sorted. An element has the form "GET /nodes/{node}/qemu". Every other method
// of PVE gets status 501, with a message that PVE has the method.
func Served() []string {
	return slices.Sorted(maps.Keys(handlers()))
}
