package qmconf

import (
	"slices"
	"testing"
)

func TestParseCPUs(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{"0": "0", "0-3": "0-3", "8,0-3": "0-3,8", "0-1, 2 ,2-3": "0-3", "1,3,5": "1,3,5", "8191": "8191"} {
		cpus, err := ParseCPUs(list)
		if got := FormatCPUs(cpus); err != nil || got != want {
			t.Errorf("parseCPUs(%q) = %s, %v, want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"", ",", "0,", "a", "-1", "3-1", "0-8192", "1-2-3", "99999999999999999999", "0x1"} {
		if cpus, err := ParseCPUs(list); err == nil {
			t.Errorf("parseCPUs(%q) = %v, want an error", list, cpus)
		}
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, seed := range []string{"0-3,8", " 1 , 2-2", "8191"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		cpus, err := ParseCPUs(list)
		if err != nil {
			return
		}
		if again, err := ParseCPUs(FormatCPUs(cpus)); err != nil || !slices.Equal(cpus, again) {
			t.Errorf("%q is %v, printed %s, which is %v, %v", list, cpus, FormatCPUs(cpus), again, err)
		}
	})
}

func FuzzSSHKeys(f *testing.F) {
	f.Add("ssh-ed25519 AAAA+/== me@desk", "a b")
	f.Fuzz(func(t *testing.T, one, two string) {
		keys := SSHKeys(EncodeSSHKeys([]string{one, two}))
		if again := SSHKeys(EncodeSSHKeys(keys)); !slices.Equal(keys, again) {
			t.Errorf("%q and %q are %q, encoded and read again %q", one, two, keys, again)
		}
		for _, key := range keys {
			_ = PublicKeyProblem(key) // checks only that the call does not panic
		}
	})
}
