package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// These errors say why a boot did not complete.
var (
	ErrPanic      = errors.New("the kernel panicked")
	ErrHang       = errors.New("did not end in time")
	ErrUnfinished = errors.New("ended before its programs had")
)

// A BootError says why a boot did not complete. It matches [ErrPanic],
// [ErrHang] (and the context's error) or [ErrUnfinished].
type BootError struct {
	Machine string
	Err     error
	Console string // everything that the kernel printed
}

// Error names the machine and the cause, and ends with the last lines of the
// console.
func (e *BootError) Error() string {
	lines := strings.Split(strings.TrimSpace(e.Console), "\n")
	return fmt.Sprintf("lab: %s: %v; its console ends with\n%s", e.Machine, e.Err, strings.Join(lines[max(0, len(lines)-40):], "\n"))
}

// Unwrap returns the cause.
func (e *BootError) Unwrap() error { return e.Err }

// A Boot is a machine together with the programs that run inside it.
type Boot struct {
	Machine  Machine
	Init     string            // the static binary of package internal/lab/init
	Commands []Command         // the commands run one after the other
	Files    map[string]string // the key is the path inside, the value is the path of the file on this machine
	Watch    func(Event)       // called with each event; may be nil
}

// A Result is the result of a command.
type Result struct {
	Name   string
	Output string
	Exit   int // the exit status; -1 if the command was killed or did not start
}

// An Outcome is the result of a boot. If the boot failed, it holds the results
// of the commands that had ended before.
type Outcome struct {
	Results []Result
	Console string // the output of the kernel
	Tainted string // /proc/sys/kernel/tainted at the end: "0" unless the kernel had a warning or a worse fault
	done    bool
	failed  string // the reason that init reported
}

// Run boots a machine and waits until the machine ends. It needs one core for
// about ten seconds, plus the time of the commands. If ctx ends first, Run ends
// the machine. The error is a [*BootError] if the machine had begun to boot.
func (l Lab) Run(ctx context.Context, b Boot) (Outcome, error) {
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		return Outcome{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // if this fails, leftovers stay in the directory for temporary files
	archive, err := l.initramfs(b)
	if err != nil {
		return Outcome{}, err
	}
	if err := os.WriteFile(filepath.Join(dir, "initrd"), archive, 0o600); err != nil {
		return Outcome{}, err
	}
	for _, d := range b.Machine.Disks {
		disk := filepath.Join(dir, d.ID)
		if err := errors.Join(os.WriteFile(disk, []byte(d.Content), 0o600), os.Truncate(disk, d.Bytes)); err != nil {
			return Outcome{}, err
		}
	}
	cmd := exec.CommandContext(ctx, l.qemu, l.arguments(b.Machine, dir)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return Outcome{}, err
	}
	if err := cmd.Start(); err != nil {
		return Outcome{}, err
	}
	var o Outcome
	err = readEvents(events, func(e Event) {
		o.note(e)
		if b.Watch != nil {
			b.Watch(e)
		}
	})
	if err = errors.Join(err, cmd.Wait()); err != nil {
		err = fmt.Errorf("QEMU: %w: %s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	console, _ := os.ReadFile(filepath.Join(dir, "console")) // if QEMU did not start, there is no file
	o.Console = strings.ReplaceAll(string(console), "\r", "")
	if err = o.verdict(ctx.Err(), err); err != nil {
		return o, &BootError{Machine: b.Machine.Name, Err: err, Console: o.Console}
	}
	return o, nil
}

// arguments returns QEMU's arguments. The files are in dir. The IOMMU's
// interrupt remapping needs the split irqchip.
func (l Lab) arguments(m Machine, dir string) []string {
	file := func(name string) string { return strings.ReplaceAll(filepath.Join(dir, name), ",", ",,") }
	kernel := append([]string{"console=ttyS0", "panic=-1", "loglevel=6", "no_timer_check"}, m.Kernel...)
	args := []string{"-accel", "tcg", "-M", "q35,kernel-irqchip=split", "-cpu", "max", "-m", "1024",
		"-nodefaults", "-display", "none", "-no-reboot",
		"-kernel", l.kernel, "-initrd", filepath.Join(dir, "initrd"), "-append", strings.Join(kernel, " "),
		"-serial", "file:" + filepath.Join(dir, "console"), "-serial", "stdio"}
	for _, device := range m.Devices {
		args = append(args, "-device", device)
	}
	for _, d := range m.Disks {
		args = append(args, "-drive", "if=none,format=raw,id="+d.ID+",file="+file(d.ID), "-device", d.Device+",drive="+d.ID)
	}
	return args
}

// note adds the data of an event to the outcome.
func (o *Outcome) note(e Event) {
	var last *Result
	if n := len(o.Results); n > 0 {
		last = &o.Results[n-1]
	}
	switch {
	case e.Action == Begin:
		o.Results = append(o.Results, Result{Name: e.Command, Exit: -1})
	case e.Action == Output && last != nil:
		last.Output += string(e.Output)
	case e.Action == End && last != nil:
		last.Exit = e.Exit
	case e.Action == Failed:
		o.failed = string(e.Output)
	case e.Action == Done:
		o.done, o.Tainted = true, e.Tainted
	}
}

// verdict returns how the machine ended. A panic counts even if the machine
// continued after the panic.
func (o *Outcome) verdict(ctx, qemu error) error {
	switch {
	case strings.Contains(o.Console, "Kernel panic - not syncing"):
		return ErrPanic
	case ctx != nil:
		return fmt.Errorf("%w: %w", ErrHang, ctx)
	case qemu != nil:
		return fmt.Errorf("%w: %w", ErrUnfinished, qemu)
	case o.failed != "":
		return fmt.Errorf("%w: %s", ErrUnfinished, o.failed)
	case !o.done:
		return ErrUnfinished
	}
	return nil
}
