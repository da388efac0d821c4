package firstboot_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation/firstboot"
)

func ExampleLinuxAI() {
	guest := firstboot.LinuxAI{
		HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse"),
		Models: &firstboot.ModelsDisk{Slot: "scsi1"}, NVIDIA: true,
	}
	seed, err := guest.Seed()
	fmt.Println(seed.Label(), seed.Files(), err)
	guest.Models.Mount = "/srv/models; reboot"
	_, err = guest.Seed()
	fmt.Println(errors.Is(err, firstboot.ErrField))
	fmt.Println(err)
	// Output:
	// cidata [meta-data user-data] <nil>
	// true
	// firstboot: Models.Mount: "/srv/models; reboot": want a separate directory such as /srv/models, with letters, digits, . _ and -
}

func ExampleSeed() {
	seed, err := firstboot.LinuxAI{HostName: "linux-ai", User: "me", Password: proxstation.NewSecret("correct horse")}.Seed()
	if err != nil {
		fmt.Println(err)
		return
	}
	image, err := seed.Image() // Node.Upload would store the image under this name, below storage:iso/
	fmt.Println(strings.HasPrefix(seed.Name(), "firstboot-linux-ai-"), len(image)%2048, err)
	// Output: true 0 <nil>
}

func ExampleParseState() {
	state, err := firstboot.ParseState("phase=driver\nagent=1:7.2\nmodels=formatted\n")
	fmt.Println(state, err)
	state, err = firstboot.ParseState("phase=models\nfailed=the disk in scsi1 is not blank\n")
	fmt.Println(state, err)
	// Output:
	// driver: agent 1:7.2, models formatted <nil>
	// models: failed: the disk in scsi1 is not blank <nil>
}

func ExampleWindows11() {
	guest := firstboot.Windows11{
		ComputerName: "GAMES", User: "me", Password: proxstation.NewSecret("correct horse"),
		Language: "de-DE", TimeZone: "W. Europe Standard Time", Games: &firstboot.GamesDisk{Slot: "scsi1"},
	}
	seed, err := guest.Seed()
	fmt.Println(seed.Files(), err)
	guest.TimeZone = "Europe/Berlin"
	_, err = guest.Seed()
	fmt.Println(err)
	// Output:
	// [Autounattend.xml firstboot-disk.cmd firstboot.ps1] <nil>
	// firstboot: TimeZone: "Europe/Berlin" is not a time zone of Windows, such as W. Europe Standard Time: tzutil /l in a Windows lists them
}

func ExampleFieldError() {
	_, err := firstboot.LinuxAI{HostName: "linux-ai", User: "root"}.Seed() // the error joins an error for each wrong field
	var wrong *firstboot.FieldError
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Field, "-", wrong.Why)
	}
	fmt.Println(err)
	// Output:
	// User - "root" is a login or a group of the system
	// firstboot: User: "root" is a login or a group of the system
	// firstboot: Keys: nobody could log in without a key or a password
}
