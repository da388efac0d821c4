// Init is the first process of a lab machine. It mounts the file systems that
// programs read, loads the modules, waits for the disks, runs the commands and
// powers the machine off. It writes its reports to the second serial port.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/proxstation/proxstation/internal/lab"
)

func main() {
	if err := boot(); err != nil {
		fmt.Println("init:", err) // if init cannot report an error, the console still shows it
	}
	unix.Sync()
	fmt.Println("init:", unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)) // Reboot only returns if it failed
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
	port, err := os.OpenFile("/dev/ttyS1", os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	r := report{json.NewEncoder(port)}
	done := lab.Event{Action: lab.Done}
	if err := r.work(); err != nil {
		done = lab.Event{Action: lab.Failed, Output: []byte(err.Error())}
	}
	tainted, err := os.ReadFile("/proc/sys/kernel/tainted")
	done.Tainted = strings.TrimSpace(string(tainted))
	// TCSBRK with an argument waits until all output is sent, as in tcdrain(3).
	return errors.Join(err, r.Encode(done), unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1), port.Close())
}

type report struct{ *json.Encoder }

func (r report) work() error {
	script, err := os.ReadFile("/plan.json")
	if err != nil {
		return err
	}
	var plan lab.Plan
	if err := json.Unmarshal(script, &plan); err != nil {
		return err
	}
	for _, name := range plan.Modules {
		if err := load("/modules/" + name); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
	}
	if err := waitForDisks(plan.Disks, time.Minute); err != nil {
		return err
	}
	for _, c := range plan.Commands {
		if err := r.run(c); err != nil {
			return err
		}
	}
	return nil
}

func load(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENODEV) { // the module is built in, or the processor lacks a feature
		return nil
	}
	return err
}

// waitForDisks waits until the machine has this number of disks. The drivers of
// NVMe and USB find their disks only after the modules have loaded. Virtual
// disks do not count. The link to the bdi is the part of a disk that appears
// last.
func waitForDisks(number int, limit time.Duration) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		found, err := filepath.Glob("/sys/block/*/bdi")
		if err != nil {
			return err
		}
		real := 0
		for _, disk := range found {
			if place, err := filepath.EvalSymlinks(filepath.Dir(disk)); err == nil && !strings.Contains(place, "/virtual/") {
				real++
			}
		}
		if real >= number {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d disks came: %v", real, number, found)
		}
	}
}

// run runs a command and reports its result. It returns an error only if the
// report fails.
func (r report) run(c lab.Command) error {
	if err := r.Encode(lab.Event{Action: lab.Begin, Command: c.Name}); err != nil {
		return err
	}
	cmd := exec.Command("/bin/"+c.Name, c.Args...) //nolint:noctx // who started the machine bounds it
	cmd.Env = append([]string{"PATH=/bin", "HOME=/tmp", "TMPDIR=/tmp"}, c.Env...)
	out := output{r, c.Name}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/tmp", out, out
	err := cmd.Run()
	exit := -1
	var failed *exec.ExitError
	switch {
	case err == nil:
		exit = 0
	case errors.As(err, &failed):
		exit = failed.ExitCode()
	default:
		fmt.Fprintln(out, err)
	}
	return r.Encode(lab.Event{Action: lab.End, Command: c.Name, Exit: exit})
}

// output is a writer that reports the output of a command.
type output struct {
	report
	command string
}

func (o output) Write(data []byte) (int, error) {
	return len(data), o.Encode(lab.Event{Action: lab.Output, Command: o.command, Output: data})
}
