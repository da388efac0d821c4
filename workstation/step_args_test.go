package workstation

import (
	"strings"
	"testing"
)

func TestStepsDoNotShowTheOSK(t *testing.T) {
	t.Parallel()
	const sent = `-device isa-applesmc,osk="new" -cpu host -set device.hostpci0.x-igd-lpc=on`
	step := ChangeVM{Set: map[string]string{"args": sent}, Have: map[string]string{"args": `-device isa-applesmc,osk=old,id=smc -cpu max -no-reboot`}}.hideOSK()
	const want = `~ VM 0 
    - args  -device isa-applesmc,osk=[secret],id=smc   # PVE writes the whole line args into its logs, with the key
    ~ args  -cpu max -> -cpu host
    - args  -no-reboot
    + args  -device isa-applesmc,osk="[secret]"
    + args  -set device.hostpci0.x-igd-lpc=on
    ! only root@pam with a password may set: args
`
	if text := step.change().String(); text != want {
		t.Errorf("the step is\n%s\nwant\n%s", text, want)
	}
	if args := revealOSK(step.Set, step.OSK)["args"]; args != sent {
		t.Errorf("it would send %s", args)
	}
	config := map[string]string{"args": sent}
	if text := (CreateVM{Config: config}).change().String(); !strings.Contains(text, "\n    + args  -cpu host\n") {
		t.Errorf("the step is\n%s", text)
	}
}

// If the key of a VM changes, the plan shows a change, although both keys print
// as [secret].
func TestAnotherKeyIsAChange(t *testing.T) {
	t.Parallel()
	step := ChangeVM{Set: map[string]string{"args": "-device isa-applesmc,osk=new"}, Have: map[string]string{"args": "-device isa-applesmc,osk=old"}}.hideOSK()
	if text := step.change().String(); !strings.Contains(text, "~ args  -device isa-applesmc,osk=[secret] -> -device isa-applesmc,osk=[secret]   # another key; PVE writes the whole line args into its logs, with the key") {
		t.Errorf("the step does not say what changes:\n%s", text)
	}
}
