package lab

import (
	"os"
	"testing"
	"time"
)

// These tests run inside the machines of [TestEndings]. Each of these tests
// ends its machine in another way. Outside the lab they do nothing.

func inLab(t *testing.T) {
	t.Helper()
	if os.Getenv("PROXSTATION_IN_LAB") == "" {
		t.Skip("not inside the lab")
	}
}

func TestInLabFails(t *testing.T) { //nolint:paralleltest // alone in its process
	inLab(t)
	t.Error("as it should")
}

func TestInLabPanic(t *testing.T) { //nolint:paralleltest // alone in its process
	inLab(t)
	sysrq(t, "c") // crashes the kernel: Documentation/admin-guide/sysrq.rst
}

func TestInLabOff(t *testing.T) { //nolint:paralleltest // alone in its process
	inLab(t)
	sysrq(t, "b") // reboots without a shutdown, which ends QEMU (-no-reboot)
}

func TestInLabHang(t *testing.T) { //nolint:paralleltest // alone in its process
	inLab(t)
	t.Log("it hangs")
	time.Sleep(time.Hour)
}

func sysrq(t *testing.T, key string) {
	t.Helper()
	time.Sleep(time.Second) // gives the serial port time to send the report that the test began
	if err := os.WriteFile("/proc/sysrq-trigger", []byte(key), 0); err != nil {
		t.Fatal(err)
	}
	t.Fatal("the machine goes on")
}
