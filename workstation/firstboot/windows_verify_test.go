package firstboot

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// A windowsSays is a Guest. For each program that it can run, it holds the
// output.
type windowsSays map[string]proxstation.GuestOutput

var errNoWay = errors.New("no way in")

func (w windowsSays) Run(_ context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	for program, out := range w {
		if strings.Contains(c.Argv[0], program) {
			return out, nil
		}
	}
	return proxstation.GuestOutput{}, errNoWay
}

func TestVerifyWindows(t *testing.T) {
	t.Parallel()
	said := func(text string) proxstation.GuestOutput { return proxstation.GuestOutput{Stdout: text + "\r\n"} }
	all := windowsSays{"cmd": said("Microsoft Windows [Version 10.0.26100.1]"), "nvidia-smi": said("NVIDIA GeForce RTX 5070 Ti, 581.15"),
		"powershell": said("Games"), "RustDesk": said("123456789")}
	const yes, no, unknown = proxstation.Yes, proxstation.No, proxstation.Unknown
	for name, test := range map[string]struct {
		program string
		out     *proxstation.GuestOutput // nil if the program cannot be run
		check   string
		want    proxstation.Answer
	}{
		"all is well":            {"", nil, CheckAgent, yes},
		"no driver":              {"nvidia-smi", nil, CheckCard, unknown},
		"the driver fails":       {"nvidia-smi", &proxstation.GuestOutput{Code: 9, Stdout: "NVIDIA-SMI has failed"}, CheckCard, unknown},
		"no card":                {"nvidia-smi", &proxstation.GuestOutput{}, CheckCard, no},
		"another disk":           {"powershell", &proxstation.GuestOutput{Stdout: "Old\r\n"}, CheckDisk, no},
		"no disk":                {"powershell", &proxstation.GuestOutput{Code: 1, Stderr: "No MSFT_Volume objects found"}, CheckDisk, unknown},
		"no RustDesk":            {"RustDesk", nil, CheckRustDesk, unknown},
		"RustDesk without an ID": {"RustDesk", &proxstation.GuestOutput{}, CheckRustDesk, unknown},
	} {
		guest := windowsSays{}
		for program, out := range all {
			guest[program] = out
		}
		if delete(guest, test.program); test.out != nil {
			guest[test.program] = *test.out
		}
		checks, err := fullWindows().Verify(t.Context(), guest, true, true)
		if err != nil || len(checks) != 4 {
			t.Fatalf("%s: %v, %v", name, checks, err)
		}
		for _, c := range checks {
			want := yes
			if c.ID == test.check {
				want = test.want
			}
			if c.Answer != want || c.Seen == "" || (c.Answer == yes) != (c.Why == "") || (c.Answer == yes) != (c.Fix == "") {
				t.Errorf("%s: %s is %s, want %s: %+v", name, c.ID, c.Answer, want, c.Finding)
			}
		}
	}
	if _, err := fullWindows().Verify(t.Context(), windowsSays{}, true, true); !errors.Is(err, errNoWay) {
		t.Errorf("without a way in: %v", err)
	}
	if checks, err := windowsGuest().Verify(t.Context(), all, false, false); err != nil || len(checks) != 1 {
		t.Errorf("what nobody asked for is checked: %v, %v", checks, err)
	}
}
