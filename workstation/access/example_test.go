package access_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/workstation/access"
)

// A machine is a function that answers every command in place of a guest. In a
// real program, node.Agent(141) takes its place.
type machine func(proxstation.GuestCommand) proxstation.GuestOutput

func (m machine) Run(_ context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	return m(c), nil
}

// The guest gets a key for SSH, and then refuses passwords.
func ExampleSSH() {
	guest := machine(func(proxstation.GuestCommand) proxstation.GuestOutput {
		return proxstation.GuestOutput{Stdout: "access: user yes\naccess: installed yes\naccess: running yes\naccess: key no\naccess: passwords yes\naccess: done\n"}
	})
	way := access.SSH{User: "ada", KeysOnly: true,
		Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ada@laptop"}
	plan, err := way.Plan(context.Background(), guest)
	fmt.Print(plan)
	fmt.Println(err)

	_, err = access.SSH{User: "ada", KeysOnly: true}.Plan(context.Background(), guest)
	fmt.Println(err)
	// Output:
	// Plan for SSH: 2 to change
	//   ~ key of ada: absent -> ssh-ed25519 ada@laptop
	//   ~ passwords: accepted, or unknown -> refused
	// <nil>
	// access: invalid: KeysOnly without a Key: nobody could get in
}

// A Windows guest in the Home edition cannot be reached by RDP.
func ExampleRDP() {
	guest := machine(func(proxstation.GuestCommand) proxstation.GuestOutput {
		return proxstation.GuestOutput{Stdout: "access: edition Core\naccess: allowed no\naccess: done\n"}
	})
	_, err := access.RDP{User: "ada", Password: proxstation.NewSecret("a long password")}.Plan(context.Background(), guest)
	fmt.Println(err)
	// Output: access: the guest refuses: Windows of edition Core (Home) takes no Remote Desktop connections: use RustDesk, or another edition
}

// A guest for games gets a user in Sunshine, and is paired with a client.
func ExampleSunshine() {
	made := false
	guest := machine(func(c proxstation.GuestCommand) proxstation.GuestOutput { // runs curl inside the guest
		if strings.Contains(c.Input, "/api/password") {
			made = true
		}
		if !made {
			return proxstation.GuestOutput{Stdout: "\n307"}
		}
		return proxstation.GuestOutput{Stdout: "{\"status\": true}\n200"}
	})
	ctx := context.Background()
	way := access.Sunshine{Windows: true, User: "ada", Password: proxstation.NewSecret("a long password")}
	plan, err := way.Plan(ctx, guest)
	if err == nil {
		fmt.Print(plan)
		err = access.Apply(ctx, guest, way, plan)
	}
	if err == nil {
		err = way.Pair(ctx, guest, "1234", "the TV") // the PIN that Moonlight shows
	}
	fmt.Println(err)
	// Output:
	// Plan for Sunshine: 1 to change
	//   ~ user: none -> ada
	// <nil>
}
