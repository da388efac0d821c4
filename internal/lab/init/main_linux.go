// Init is the first process of a machine of the lab: it mounts what the tests
// read, loads the modules, runs every program below /bin and powers off.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if err := boot(); err != nil {
		fmt.Println("LAB: init:", err)
	}
	fmt.Println("LAB: done")
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) // nothing is left to do if it fails
	select {}
}

func boot() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		if err := os.MkdirAll(m[1], 0o755); err != nil {
			return err
		}
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", m[1], err)
		}
	}
	order, err := os.ReadFile("/modules/order")
	if err != nil {
		return err
	}
	for name := range strings.FieldsSeq(string(order)) {
		if err := load("/modules/" + name); err != nil {
			fmt.Printf("LAB: module %s: %v\n", name, err)
		}
	}
	time.Sleep(3 * time.Second) // USB and NVMe find their disks after their modules have loaded
	machine, err := os.ReadFile("/machine")
	if err != nil {
		return err
	}
	programs, err := filepath.Glob("/bin/*")
	if err != nil {
		return err
	}
	for _, program := range programs {
		run(program, string(machine))
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}

func run(program, machine string) {
	name := filepath.Base(program)
	fmt.Println("LAB: begin", name)
	cmd := exec.Command(program, "-test.v", "-test.run", "^TestInLab", "-test.timeout", "90s") //nolint:noctx // the program bounds itself
	cmd.Env = []string{"PROXSTATION_IN_LAB=" + machine, "PATH=/bin", "TMPDIR=/tmp", "HOME=/tmp"}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/tmp", os.Stdout, os.Stdout
	err := cmd.Run()
	exit := cmd.ProcessState.ExitCode()
	if cmd.ProcessState == nil {
		exit = -1
		fmt.Println(err)
	}
	fmt.Printf("\nLAB: end %s exit=%d\n", name, exit)
}
