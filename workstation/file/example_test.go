package file_test

import (
	"errors"
	"fmt"
	"os"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

const page = `# the machine under the desk
cards:
  rtx: {address: "0000:01:00"} # GeForce RTX 5070 Ti

workstations:
  windows: {profile: windows11, memory: 16GiB, games: 100GiB, card: rtx}
  linux-ai: {profile: linux-ai, models: 80GiB, card: rtx, user: {name: me, password: env:LINUX_PASSWORD}}

dualboot:
  rtx: {members: [windows, linux-ai]}
`

func Example() {
	text, err := os.ReadFile("../../examples/homelab/homelab.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := file.Parse("homelab.yaml", text)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"macos", "windows", "linux-ai"} {
		w := source.Page.Workstations[name]
		fmt.Println(w.VMID(), name, w.Profile())
	}
	// Output:
	// 130 macos macos
	// 140 windows windows11
	// 141 linux-ai linux-ai
}

func ExampleParse() {
	_, err := file.Parse("homelab.yaml", []byte("workstations:\n  windows: {profile: windows11, memroy: 16GiB, system: 128}\n"))
	fmt.Println(err)
	// Output:
	// file: homelab.yaml:2:33: workstations.windows.memroy: no such key: did you mean memory?
	// file: homelab.yaml:2:56: workstations.windows.system: 128 has no unit: want a number and a unit, such as 128GiB or 128MiB
}

func ExampleErrors() {
	_, err := file.Parse("homelab.yaml", []byte("nod: pve\nstorage: {media: {tire: 3}}\n"))
	if mistakes, ok := errors.AsType[file.Errors](err); ok {
		for _, m := range mistakes {
			fmt.Println(m.Line, m.Column, m.Key)
		}
	}
	// Output:
	// 1 1 nod
	// 2 19 storage.media.tire
}

func ExampleError() {
	err := file.Page{Workstations: map[string]file.Workstation{"windows": &file.Windows11{Windows11: profile.Windows11{Card: "rtx"}}}}.Validate()
	if mistake, ok := errors.AsType[*file.Error](err); ok {
		fmt.Println(mistake.Key)
		fmt.Println(mistake.Why)
	}
	// Output:
	// workstations.windows.card
	// no card of the page has the name "rtx": the page has none
}

func ExampleSource_Set() {
	source, err := file.Parse("homelab.yaml", []byte(page))
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err = source.Set("workstations.windows.games", 200*storage.GiB)
	fmt.Println(err)
	fmt.Print(string(source.Bytes()))
	// Output:
	// <nil>
	// # the machine under the desk
	// cards:
	//   rtx: {address: "0000:01:00"} # GeForce RTX 5070 Ti
	//
	// workstations:
	//   windows: {profile: windows11, memory: 16GiB, games: 200GiB, card: rtx}
	//   linux-ai: {profile: linux-ai, models: 80GiB, card: rtx, user: {name: me, password: env:LINUX_PASSWORD}}
	//
	// dualboot:
	//   rtx: {members: [windows, linux-ai]}
}

func ExampleSource_Spec() {
	source, err := file.Parse("homelab.yaml", []byte(page))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = source.Spec(workstation.Facts{Node: "pve"}, nil)
	fmt.Println(err)
	// Output:
	// file: homelab.yaml:3:8: cards.rtx: node pve has no graphics card at 0000:01:00: the login sees no graphics card
}

func ExamplePage() {
	p := file.Page{
		Storage: map[string]file.Storage{"media-pool": {Tier: storage.Tier3}},
		Cards:   map[string]file.Card{"rtx": {Address: iommu.Address{}.WithFunction(0), Mapping: "workstation-gpu"}},
		Workstations: map[string]file.Workstation{
			"windows": &file.Windows11{Windows11: profile.Windows11{Memory: 16 * storage.GiB, Card: "rtx"},
				User: &file.Account{Name: "me", Password: "env:WINDOWS_PASSWORD"}},
		},
	}
	fmt.Println(p.Validate(), p.Tiers())
	// Output:
	// <nil> map[media-pool:3]
}

func ExampleFormat() {
	p := file.Page{
		Workstations: map[string]file.Workstation{
			"linux-ai": &file.LinuxAI{LinuxAI: profile.LinuxAI{Memory: 32 * storage.GiB, Models: 80 * storage.GiB}},
			"macos":    &file.MacOS{MacOS: profile.MacOS{Release: gpu.MacOSSonoma}, OSK: "env:MACOS_OSK"},
		},
	}
	fmt.Print(string(file.Format(p, map[string]string{"workstations.linux-ai.models": "tier 2"})))
	// Output:
	// # yaml-language-server: $schema=https://raw.githubusercontent.com/proxstation/proxstation/main/docs/homelab.schema.json
	//
	// workstations:
	//   macos:
	//     profile: macos
	//     release: sonoma
	//     osk: env:MACOS_OSK
	//   linux-ai:
	//     profile: linux-ai
	//     memory: 32GiB
	//     models: 80GiB   # tier 2
}

func ExampleParseReference() {
	r, err := file.ParseReference("env:WINDOWS_PASSWORD")
	kind, name := r.Cut()
	fmt.Println(kind, name, err)
	_, err = file.ParseReference("correct horse battery staple")
	fmt.Println(err)
	// Output:
	// env WINDOWS_PASSWORD <nil>
	// file: not a reference: want env:NAME or file:PATH, never the secret itself (it is not shown here)
}

func ExampleResolver() {
	source, err := file.Parse("homelab.yaml", []byte("remote: {rustdesk: {password: env:RUSTDESK, guests: server}}\nworkstations: {server: {profile: linux-ai}}\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = source.Page.Reach(func(r file.Reference) (proxstation.Secret, error) {
		return proxstation.Secret{}, errors.New("the variable is not set")
	})
	fmt.Println(err)
	// Output:
	// file: remote.rustdesk.password: env:RUSTDESK: the variable is not set
}

func ExampleReach() {
	p := file.Page{
		Workstations: map[string]file.Workstation{"server": &file.LinuxAI{}},
		Remote:       &file.Remote{RustDesk: &file.RustDesk{Guests: []string{"server"}}},
	}
	reach, err := p.Reach(nil)
	fmt.Println(err, reach[0].VMID, reach[0].RustDesk.OS == rustdesk.Linux, reach[0].RustDesk.Config.Access.Approve)
	// Output:
	// <nil> 141 true password
}

func ExampleCustom() {
	p := file.Page{Workstations: map[string]file.Workstation{"nas": &file.Custom{VM: workstation.VM{ID: 101, Guest: gpu.Linux, Config: map[string]string{"cores": "2"}}}}}
	spec, err := p.Spec(workstation.Facts{}, nil)
	fmt.Println(err, spec.VMs[0].ID, spec.VMs[0].Name, spec.VMs[0].Config["cores"])
	// Output:
	// <nil> 101 nas 2
}

func ExamplePage_Guests() {
	p := file.Page{Workstations: map[string]file.Workstation{"windows": &file.Windows11{
		Windows11: profile.Windows11{Games: 100 * storage.GiB},
		User:      &file.Account{Name: "me", Password: "env:WINDOWS_PASSWORD"},
		Setup:     &file.WindowsSetup{Games: &firstboot.GamesDisk{Label: "Spiele"}},
	}}}
	guests, err := p.Guests(workstation.Facts{}, nil)
	fmt.Println(err, guests[0].VMID, guests[0].Windows.ComputerName, guests[0].Windows.Games.Slot, guests[0].Windows.Games.Label)
	// Output:
	// <nil> 140 windows scsi1 Spiele
}

// The key opencore of a Mac is either a volume, or an image from which a
// configured copy is made.
func ExampleOpenCore() {
	page := file.Page{Workstations: map[string]file.Workstation{
		"ready": &file.MacOS{MacOS: profile.MacOS{ID: 130}, OpenCore: file.OpenCore{Volume: "local:import/opencore.raw"}},
		"fresh": &file.MacOS{MacOS: profile.MacOS{ID: 131}, OpenCore: file.OpenCore{Image: "OpenCore-v21.iso.gz", Kexts: []string{"Lilu.zip"}}},
	}}
	fmt.Printf("%s", file.Format(page, nil)[len("# yaml-language-server: $schema=")+len(file.Schema):])
	// Output:
	// workstations:
	//   ready:
	//     profile: macos
	//     id: 130
	//     opencore: local:import/opencore.raw
	//   fresh:
	//     profile: macos
	//     id: 131
	//     opencore: {image: OpenCore-v21.iso.gz, kexts: [Lilu.zip]}
}

// An identity has either all four numbers or the word made-up. Parse refuses an
// identity with only two of the numbers.
func ExampleIdentity() {
	_, err := file.Parse("", []byte("workstations: {mac: {profile: macos, opencore: {image: OpenCore.iso, identity: {serial: env:MACOS_SERIAL, mlb: env:MACOS_MLB}}}}"))
	fmt.Println(err)
	source, err := file.Parse("", []byte("workstations: {mac: {profile: macos, opencore: {image: OpenCore.iso, identity: made-up}}}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(source.Page.Workstations["mac"].(*file.MacOS).OpenCore.Identity.MadeUp)
	// Output:
	// file: 1:80: workstations.mac.opencore.identity: Apple's services compare all four numbers, and some are missing: add uuid, rom
	// true
}

// The VM of this page needs a copy of an OpenCore image. Its Loader names the
// VM, and the image of which the copy is made.
func ExampleLoader() {
	source, err := file.Parse("", []byte("workstations: {mac: {profile: macos, opencore: {image: OpenCore.iso, identity: made-up}}}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	loaders, err := source.Loaders(workstation.Facts{}, nil)
	for _, l := range loaders {
		fmt.Println(l.Workstation, l.Mac.Name, l.Source.Image, l.Source.MadeUp, err)
	}
	// Output:
	// mac mac OpenCore.iso true <nil>
}
