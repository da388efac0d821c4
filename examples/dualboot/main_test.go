package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestEmbedded plays the whole show in real time, about ten seconds.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("plays in real time")
	}
	var out bytes.Buffer
	if err := (&show{out: &out}).run(t.Context(), nil); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"1 NVMe  local-lvm", "isolated: yes", "+ VM 140 windows", "already in use by VMID '140'", "VM 141 runs again"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the show does not say %q:\n%s", want, out.String())
		}
	}
}
