package rustdesk_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// ReadServerHealth converts the script's report. If the script stopped, the
// error names the stage.
func TestReadServerHealth(t *testing.T) {
	t.Parallel()
	said := ""
	server := &machine{run: func(proxstation.GuestCommand) proxstation.GuestOutput { return proxstation.GuestOutput{Stdout: said} }}
	said = "rustdesk: program hbbs 1.1.14 yes yes yes\nrustdesk: listens tcp 21116 yes\nrustdesk: private 600\nrustdesk: peers 3\nrustdesk: done\n"
	health, err := rustdesk.ReadServerHealth(t.Context(), server)
	if err != nil || health.HBBS.Active != proxstation.Yes || health.PrivateMode != 0o600 || health.Peers == nil || *health.Peers != 3 ||
		len(health.Ports) != 1 || health.Ports[0].Port != 21116 {
		t.Errorf("%+v, %v", health, err)
	}
	if ran := strings.Join(server.ran, "\n"); !strings.Contains(ran, "sh") {
		t.Errorf("no script ran: %q", ran)
	}
	said = "rustdesk: error root the script needs root\n"
	var failed *rustdesk.SetupError
	if _, err := rustdesk.ReadServerHealth(t.Context(), server); !errors.As(err, &failed) || failed.Stage != "root" {
		t.Errorf("a script that stopped: %v", err)
	}
	server.fail = errors.New("no agent")
	if _, err := rustdesk.ReadServerHealth(t.Context(), server); !errors.Is(err, server.fail) {
		t.Errorf("a guest that does not answer: %v", err)
	}
}

// OSOf returns the system for the set-up of a VM's guest.
func ExampleOSOf() {
	fmt.Println(rustdesk.OSOf(gpu.Windows11))
	// Output: windows true
}

// A new guest needs the options in more than one place.
func ExampleFile_Paths() {
	paths, err := rustdesk.OptionsFile.Paths(rustdesk.Linux, "/home/ada")
	fmt.Println(strings.Join(paths, "\n"), err)
	// Output:
	// /root/.config/rustdesk/RustDesk2.toml
	// /home/ada/.config/rustdesk/RustDesk2.toml <nil>
}
