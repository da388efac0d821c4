package pvetest

import (
	"maps"
	"slices"
)

// Served returns the methods of PVE's API that the embedded node serves, in
// order: "GET /nodes/{node}/qemu". Every other method of PVE answers 501, with
// words that tell it from a method that PVE does not have either.
func Served() []string {
	return slices.Sorted(maps.Keys(handlers()))
}
