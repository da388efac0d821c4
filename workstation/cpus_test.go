package workstation

import (
	"slices"
	"testing"
)

func TestParseCPUs(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]string{"0": "0", "0-3": "0-3", "8,0-3": "0-3,8", "0-1, 2 ,2-3": "0-3", "1,3,5": "1,3,5", "8191": "8191"} {
		cpus, err := parseCPUs(list)
		if got := cpuList(cpus); err != nil || got != want {
			t.Errorf("parseCPUs(%q) = %s, %v, want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"", ",", "0,", "a", "-1", "3-1", "0-8192", "1-2-3", "99999999999999999999", "0x1"} {
		if cpus, err := parseCPUs(list); err == nil {
			t.Errorf("parseCPUs(%q) = %v, want an error", list, cpus)
		}
	}
}

func FuzzParseCPUs(f *testing.F) {
	for _, seed := range []string{"0-3,8", " 1 , 2-2", "8191"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		cpus, err := parseCPUs(list)
		if err != nil {
			return
		}
		if again, err := parseCPUs(cpuList(cpus)); err != nil || !slices.Equal(cpus, again) {
			t.Errorf("%q is %v, printed %s, which is %v, %v", list, cpus, cpuList(cpus), again, err)
		}
	})
}

func FuzzSSHKeys(f *testing.F) {
	f.Add("ssh-ed25519 AAAA+/== me@desk", "a b")
	f.Fuzz(func(t *testing.T, one, two string) {
		keys := sshKeys(encodeKeys([]string{one, two}))
		if again := sshKeys(encodeKeys(keys)); !slices.Equal(keys, again) {
			t.Errorf("%q and %q are %q, encoded and read again %q", one, two, keys, again)
		}
		for _, key := range keys {
			_ = badKey(key) // must not panic, whatever the bytes
		}
	})
}
