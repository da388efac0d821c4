package opencore

import (
	"encoding/binary"
	"slices"

	"github.com/proxstation/proxstation/gpu"
)

// A framebuffer holds the property values with which Apple's drivers accept the
// iGPUs of a generation.
type framebuffer struct {
	// The lists display and headless hold values of AAPL,ig-platform-id,
	// beginning with the recommended value. The list headless is empty if the
	// generation has no such value.
	display, headless []uint32
	// If tiles is true, the card needs the property AAPL,GfxYTile. Skylake
	// needs it with Kaby Lake's drivers.
	tiles bool
}

// framebuffers holds values from WhateverGreen's FAQ.IntelHD (recommended
// framebuffers for desktops) and from Dortania's install guide. It leaves out
// the framebuffers of notebooks, because they are for a built-in panel.
var framebuffers = map[gpu.Family]framebuffer{
	gpu.IntelSkylake:    {display: []uint32{0x19120000}, headless: []uint32{0x19120001}},
	gpu.IntelKabyLake:   {display: []uint32{0x59120000, 0x59160000, 0x591B0000}, headless: []uint32{0x59120003}},
	gpu.IntelCoffeeLake: {display: []uint32{0x3E9B0007, 0x3E9B0000, 0x3EA50000, 0x3EA50004, 0x3EA60005}, headless: []uint32{0x3E910003, 0x3E920003, 0x3E980003}},
	gpu.IntelCometLake:  {display: []uint32{0x3E9B0007, 0x3E9B0000, 0x3EA50000}, headless: []uint32{0x9BC80003, 0x9BC50003, 0x3E910003}},
	gpu.IntelIceLake:    {display: []uint32{0x8A520000}},
}

// framebufferOf returns the framebuffer of a card in a release of macOS. If the
// release has no drivers for Skylake or Coffee Lake, it returns the framebuffer
// of Kaby Lake, whose drivers accept such a card.
func framebufferOf(release gpu.Guest, family gpu.Family) (framebuffer, bool) {
	switch {
	case family == gpu.IntelSkylake && release >= gpu.MacOSVentura:
		f := framebuffers[gpu.IntelKabyLake]
		f.tiles = true
		return f, true
	case family == gpu.IntelCoffeeLake && release == gpu.MacOSHighSierra:
		family = gpu.IntelKabyLake
	}
	f, known := framebuffers[family]
	return f, known
}

// The function "number" returns the value of a property for a platform id or a
// device number: four bytes, the lowest first.
func number(id uint32) Value { return DataValue(binary.LittleEndian.AppendUint32(nil, id)) }

// The value of properties that switch a feature on.
var one = DataValue([]byte{1, 0, 0, 0})

// Returns the properties that a card needs in a mode, in the order in which
// they are written. In the mode Display, the properties make the driver reserve
// only 19 MB. By default the driver wants more memory than the firmware may
// have reserved (WhateverGreen FAQ.IntelHD, "Fix the 32mb BIOS, 19mb
// framebuffer and 9mb cursor memory requirements").
func (f framebuffer) properties(mode Mode) []Item {
	if mode == Headless {
		if len(f.headless) == 0 {
			return nil
		}
		items := []Item{{Key: "AAPL,ig-platform-id", Value: number(f.headless[0])}, {Key: "enable-metal", Value: one}}
		return f.tiled(items)
	}
	items := []Item{{Key: "AAPL,ig-platform-id", Value: number(f.display[0])},
		{Key: "framebuffer-patch-enable", Value: one}, {Key: "framebuffer-stolenmem", Value: DataValue([]byte{0, 0, 0x30, 1})}}
	return f.tiled(items)
}

func (f framebuffer) tiled(items []Item) []Item {
	if f.tiles {
		items = append(items, Item{Key: "AAPL,GfxYTile", Value: one})
	}
	return items
}

// Reports whether a value of AAPL,ig-platform-id suits a mode.
func (f framebuffer) accepts(value Value, mode Mode) bool {
	ids := f.display
	if mode == Headless {
		ids = f.headless
	}
	return slices.ContainsFunc(ids, func(id uint32) bool { return value.Equal(number(id)) })
}

// Reports whether a value holds a platform id with the highest byte first.
// People write ids like this, but drivers do not understand them.
func (f framebuffer) reversed(value Value) bool {
	return slices.ContainsFunc(slices.Concat(f.display, f.headless), func(id uint32) bool {
		return value.Equal(DataValue(binary.BigEndian.AppendUint32(nil, id)))
	})
}
