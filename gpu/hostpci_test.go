package gpu_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/pveschema"
	"github.com/proxstation/proxstation/iommu"
)

func id(n iommu.ID) *iommu.ID { return &n }

func TestParseHostPCI(t *testing.T) {
	t.Parallel()
	rtx := []gpu.Device{gpu.WholeDevice(address("0000:01:00.0"))}
	for _, test := range []struct {
		text  string
		want  gpu.HostPCI
		print string // "" if it is the same as text
	}{
		{"0000:01:00", gpu.HostPCI{Devices: rtx}, ""},
		{"01:00", gpu.HostPCI{Devices: rtx}, "0000:01:00"},
		{"host=01:00", gpu.HostPCI{Devices: rtx}, "0000:01:00"},
		{"01:00.1", gpu.HostPCI{Devices: []gpu.Device{{Address: address("0000:01:00.1")}}}, "0000:01:00.1"},
		{"01:00.0;0000:02:00;10000:e1:00.0", gpu.HostPCI{Devices: []gpu.Device{{Address: address("0000:01:00.0")}, gpu.WholeDevice(address("0000:02:00.0")),
			{Address: address("10000:e1:00.0")}}}, "0000:01:00.0;0000:02:00;10000:e1:00.0"},
		{"mapping=rtx-5070,pcie=1", gpu.HostPCI{Mapping: "rtx-5070", PCIe: true}, ""},
		{"pcie=1,mapping=rtx", gpu.HostPCI{Mapping: "rtx", PCIe: true}, "mapping=rtx,pcie=1"},
		{"0000:01:00,pcie=1,x-vga=1", gpu.HostPCI{Devices: rtx, PCIe: true, PrimaryVGA: true}, ""},
		{"01:00,pcie=on,x-vga=YES,rombar=False", gpu.HostPCI{Devices: rtx, PCIe: true, PrimaryVGA: true, NoROMBar: true}, "0000:01:00,pcie=1,x-vga=1,rombar=0"},
		{"01:00,pcie=0,rombar=1,driver=vfio,legacy-igd=off", gpu.HostPCI{Devices: rtx}, "0000:01:00"},
		{"0000:00:02.0,legacy-igd=1,romfile=CFL_CML_GOPv9.1_igd.rom,device-id=0x3e9b",
			gpu.HostPCI{Devices: []gpu.Device{{Address: address("0000:00:02.0")}}, LegacyIGD: true, ROMFile: "CFL_CML_GOPv9.1_igd.rom", DeviceID: id(0x3e9b)}, ""},
		{"0000:01:00,driver=keep", gpu.HostPCI{Devices: rtx, KeepDriver: true}, ""},
		{"0000:00:02.0,mdev=i915-GVTg_V5_4", gpu.HostPCI{Devices: []gpu.Device{{Address: address("0000:00:02.0")}}, MDev: "i915-GVTg_V5_4"}, ""},
		{"01:00,vendor-id=0x10DE,sub-vendor-id=0x1462,sub-device-id=0x0000",
			gpu.HostPCI{Devices: rtx, VendorID: id(0x10de), SubVendorID: id(0x1462), SubDeviceID: id(0)}, "0000:01:00,vendor-id=0x10de,sub-vendor-id=0x1462,sub-device-id=0x0000"},
		{"01:00,, ,pcie=1,", gpu.HostPCI{Devices: rtx, PCIe: true}, "0000:01:00,pcie=1"},
	} {
		got, err := gpu.ParseHostPCI(test.text)
		if err != nil || !reflect.DeepEqual(got, test.want) {
			t.Errorf("%q is read as %+v, %v", test.text, got, err)
			continue
		}
		if test.print == "" {
			test.print = test.text
		}
		if got.String() != test.print {
			t.Errorf("%q is printed as %q, want %q", test.text, got, test.print)
		}
	}
}

func TestParseHostPCIRefuses(t *testing.T) {
	t.Parallel()
	for text, why := range map[string]string{
		"":                              "either a host device or a mapping",
		"pcie=1":                        "either a host device or a mapping",
		"01:00,mapping=rtx":             "either a host device or a mapping",
		"01:00,frobnicate=1":            `PVE has no key "frobnicate"`,
		"01:00,live-migration=1":        `PVE has no key "live-migration"`,
		"01:00,02:00":                   `key "host" is there twice`,
		"host=01:00,02:00":              `key "host" is there twice`,
		"01:00,pcie=1,pcie=1":           `key "pcie" is there twice`,
		"01:00,pcie=maybe":              `pcie "maybe"`,
		"01:00,pcie=":                   `key "pcie" has no value`,
		"01:00,=1":                      `"=1" has no key`,
		"1:0.0":                         `device "1:0.0"`,
		"0000:01:00.8":                  `device "0000:01:00.8"`,
		"0000:01:20.0":                  `device "0000:01:20.0"`,
		"0000:0A:00.0":                  `device "0000:0A:00.0"`,
		"01:00;":                        `device ""`,
		"000:01:00.0":                   `device "000:01:00.0"`,
		"01:00,device-id=3e9b":          `device-id "3e9b"`,
		"01:00,device-id=0x3e9":         `device-id "0x3e9"`,
		"01:00,sub-vendor-id=0x10dee":   `sub-vendor-id "0x10dee"`,
		"01:00,driver=nvidia":           `driver "nvidia"`,
		"01:00,mdev=a/b":                `mdev "a/b"`,
		"01:00,romfile=a;b":             `romfile "a;b"`,
		"mapping=5070":                  `mapping "5070"`,
		"mapping=rtx;rtx2":              `mapping "rtx;rtx2"`,
		"01:00,rombar=2":                `rombar "2"`,
		"01:00 ,pcie=1":                 `device "01:00 "`,
		"01:00,legacy-igd=yes,x-vga=si": `x-vga "si"`,
	} {
		got, err := gpu.ParseHostPCI(text)
		if err == nil { // the device can be read, but the other parts cannot
			err = got.Validate()
			if len(got.Unread) == 0 || len(got.Devices) == 0 {
				t.Errorf("%q: %+v, want the device and what was not understood", text, got)
			}
		} else if !reflect.DeepEqual(got, gpu.HostPCI{}) {
			t.Errorf("%q: %+v beside an error", text, got)
		}
		if !errors.Is(err, gpu.ErrHostPCI) || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %+v, %v; want an error with %s", text, got, err, why)
		}
	}
}

func TestHostPCIJSON(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(map[string]gpu.HostPCI{"hostpci0": values("01:00,pcie=1")[0]})
	if err != nil || string(text) != `{"hostpci0":"0000:01:00,pcie=1"}` {
		t.Errorf("%s, %v", text, err)
	}
	var back map[string]gpu.HostPCI
	if err := json.Unmarshal(text, &back); err != nil || back["hostpci0"].String() != "0000:01:00,pcie=1" {
		t.Errorf("%v, %v", back, err)
	}
	kept := values("mapping=rtx")[0]
	if err := kept.UnmarshalText([]byte("nonsense=1")); err == nil || kept.Mapping != "rtx" {
		t.Errorf("after an error: %v, %v", kept, err)
	}
	for _, bad := range []gpu.HostPCI{{}, {Mapping: "no name"}, {Mapping: "rtx", ROMFile: "a,b=c"}, {Mapping: "rtx", ROMFile: "a,pcie=1"}, {Mapping: "rtx", Devices: []gpu.Device{{}}}} {
		if text, err := bad.MarshalText(); !errors.Is(err, gpu.ErrHostPCI) {
			t.Errorf("%+v is written as %q, %v", bad, text, err)
		}
	}
}

func TestDeviceText(t *testing.T) {
	t.Parallel()
	whole := gpu.WholeDevice(address("0000:01:00.1"))
	if whole.String() != "0000:01:00" || !whole.Covers(address("0000:01:00.7")) || whole.Covers(address("0000:01:01.0")) {
		t.Errorf("the whole device is %s", whole)
	}
	one := gpu.Device{Address: address("0000:01:00.1")}
	if one.Covers(address("0000:01:00.0")) || !one.Covers(address("0000:01:00.1")) {
		t.Errorf("%s covers the wrong functions", one)
	}
	text, err := json.Marshal([]gpu.Device{whole, one})
	if err != nil || string(text) != `["0000:01:00","0000:01:00.1"]` {
		t.Errorf("%s, %v", text, err)
	}
	var back []gpu.Device
	if err := json.Unmarshal(text, &back); err != nil || back[0] != whole || back[1] != one {
		t.Errorf("%v, %v", back, err)
	}
	if err := back[0].UnmarshalText([]byte("card0")); err == nil || back[0] != whole {
		t.Errorf("after an error: %v, %v", back[0], err)
	}
}

func FuzzParseHostPCI(f *testing.F) {
	for _, seed := range []string{"01:00", "0000:01:00.0;02:00,pcie=1", "mapping=rtx,x-vga=on,rombar=0", "00:02.0,legacy-igd=1,romfile=igd.rom,device-id=0x3e9b",
		"host=10000:e1:00.7,mdev=a b,driver=keep", ",,01:00,", "00000000:01:00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := gpu.ParseHostPCI(text)
		if err != nil {
			if !errors.Is(err, gpu.ErrHostPCI) {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		back, err := gpu.ParseHostPCI(h.String())
		if err != nil || !reflect.DeepEqual(back, h) {
			t.Fatalf("%q is printed as %q, which is read as %+v, %v", text, h, back, err)
		}
		if _, err := pveschema.ParseProperties("pve-qm-hostpci", h.String()); err != nil && h.Validate() == nil {
			t.Fatalf("%q is printed as %q, which PVE's schema refuses: %v", text, h, err)
		}
	})
}
