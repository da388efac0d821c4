package workstation

import (
	"strings"
	"testing"
)

// A property that belongs to another mode is removed from a value; properties
// that others set stay.
func TestAbsentProperties(t *testing.T) {
	t.Parallel()
	const have = "0000:00:02,legacy-igd=1,romfile=own.rom,rombar=1"
	facts := Facts{Node: "pve", VMs: map[int]VMFacts{130: {ID: 130, Name: "vm", Config: map[string]string{"name": "vm", "vga": "none", "hostpci0": have}}}}
	for name, test := range map[string]struct {
		config map[string]string
		absent []string
		want   string // of the change, "" for none, or the error's text
	}{
		"a property":                 {nil, []string{"hostpci0.legacy-igd"}, "~ hostpci0  " + have + " -> 0000:00:02,romfile=own.rom,rombar=1\n"},
		"two":                        {nil, []string{"hostpci0.legacy-igd", "hostpci0.rombar"}, "-> 0000:00:02,romfile=own.rom\n"},
		"beside one that changes":    {map[string]string{"hostpci0": "0000:00:02,romfile=new.rom"}, []string{"hostpci0.legacy-igd"}, "-> 0000:00:02,romfile=new.rom,rombar=1\n"},
		"one that is not there":      {nil, []string{"hostpci0.x-vga", "hostpci1.x-vga", "net0.firewall"}, ""},
		"the key":                    {nil, []string{"hostpci0"}, "- hostpci0  " + have},
		"one that is wanted":         {map[string]string{"vga": "type=none,memory=32"}, []string{"vga.memory"}, "both wanted and absent"},
		"a drive's":                  {nil, []string{"scsi0.discard"}, "drives belong in Disks"},
		"what PVE would not start":   {map[string]string{"machine": "q35"}, nil, "legacy-igd needs the machine type pc"},
		"what is mended in one step": {map[string]string{"machine": "q35"}, []string{"hostpci0.legacy-igd"}, "+ machine   q35"},
	} {
		p, err := Diff(Spec{VMs: []VM{{ID: 130, Name: "vm", Config: test.config, Absent: test.absent}}}, facts)
		text := p.String()
		if err != nil {
			text = err.Error()
		}
		if !strings.Contains(text, test.want) || test.want == "" && !p.Empty() {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}
