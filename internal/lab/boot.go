package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Errors of a boot.
var (
	// ErrMissing means that QEMU or the kernel is not on this machine.
	ErrMissing = errors.New("the lab needs qemu-system-x86_64 and internal/lab/kernel.sh to have run")
	// ErrPanic means that the guest's kernel gave up.
	ErrPanic = errors.New("the guest's kernel panicked")
	// ErrHang means that the guest did not end in time.
	ErrHang = errors.New("the guest did not end in time")
	// ErrUnfinished means that the guest ended before all programs had.
	ErrUnfinished = errors.New("the guest ended too early")
)

// A Run is what became of one program inside.
type Run struct {
	Output string
	Exit   int
}

// Available returns nil if the lab can boot here, and ErrMissing if not.
func Available() error {
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		return fmt.Errorf("%w: %w", ErrMissing, err)
	}
	for _, name := range []string{"vmlinuz", "modules.list"} {
		if _, err := os.Stat(filepath.Join(kernelDir(), name)); err != nil {
			return fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	return nil
}

// Boot boots the machine, runs the programs one after the other, each with
// -test.v and only its tests for the lab, and returns what became of each by
// its name. Programs are paths of static binaries by name; init is that of
// package internal/lab/init. Scratch files go to dir.
func (m Machine) Boot(ctx context.Context, dir, init string, programs map[string]string) (runs map[string]Run, console string, err error) {
	files, err := contents(init, programs)
	if err != nil {
		return nil, "", err
	}
	initrd := filepath.Join(dir, "initrd.gz")
	var archive bytes.Buffer
	if err := writeInitramfs(&archive, append(files, file{"machine", plain, []byte(m.Name)})); err != nil {
		return nil, "", err
	}
	if err := os.WriteFile(initrd, archive.Bytes(), 0o600); err != nil {
		return nil, "", err
	}
	args, err := m.arguments(dir, filepath.Join(kernelDir(), "vmlinuz"), initrd)
	if err != nil {
		return nil, "", err
	}
	output, err := exec.CommandContext(ctx, "qemu-system-x86_64", args...).CombinedOutput()
	console = strings.ReplaceAll(string(output), "\r", "")
	runs = parseConsole(console)
	switch {
	case strings.Contains(console, "Kernel panic"):
		return runs, console, ErrPanic
	case ctx.Err() != nil:
		return runs, console, ErrHang
	case err != nil:
		return runs, console, err
	case len(runs) != len(programs) || !strings.Contains(console, "LAB: done"):
		return runs, console, ErrUnfinished
	}
	return runs, console, nil
}

var section = regexp.MustCompile(`(?s)LAB: begin (\S+)\n(.*?)LAB: end (\S+) exit=(-?\d+)`)

// parseConsole finds the programs' output between init's markers.
func parseConsole(console string) map[string]Run {
	runs := map[string]Run{}
	for _, match := range section.FindAllStringSubmatch(console, -1) {
		exit, err := strconv.Atoi(match[4])
		if err == nil && match[1] == match[3] {
			runs[match[1]] = Run{Output: match[2], Exit: exit}
		}
	}
	return runs
}
