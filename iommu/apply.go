package iommu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// The reasons why a host plan cannot be applied or undone.
var (
	// ErrForeignEdit reports a file that somebody else edited after a plan
	// changed it.
	ErrForeignEdit = errors.New("edited by someone else since")
	// ErrNothingToUndo reports that no applied plan is left.
	ErrNothingToUndo = errors.New("nothing to undo")
	// ErrIrreplaceable reports a file that cannot be replaced without a loss: a
	// link would lose its target, and a file with several hard links would lose
	// its other names. The error says what to do.
	ErrIrreplaceable = errors.New("cannot be replaced without a loss")
)

// A Runner runs a command of a plan on the host and waits until the command
// ends.
type Runner func(ctx context.Context, command []string) error

// Exec is a [Runner] for the machine that the program runs on. Its error
// contains the end of the command's output. A command that has begun runs to
// its end, even if ctx ends or somebody presses Ctrl-C, because the host might
// not start with half an initramfs.
func Exec(ctx context.Context, command []string) error {
	if len(command) == 0 {
		return errors.New("iommu: a command without a program")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), command[0], command[1:]...)
	apart(cmd)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out[max(0, len(out)-400):])))
	}
	return nil
}

// Apply makes the plan's changes below root, the host's root directory, and
// then runs the plan's commands. If run is nil, the caller must run the
// commands. Apply needs root.
//
// Each file is replaced in one step: after a power cut the path holds either
// the old file or the new file. Apply stores the old file for [Undo] before it
// replaces the file. The new file has the owner, the mode and the extended
// attributes of the old file.
//
// Apply can be called again, also after an error or a power cut: it continues
// where it stopped. On a host that matches the plan, Apply writes nothing and
// runs nothing. Only one Apply or Undo works on a host at a time. Another Apply
// or Undo waits until the first is done or its own ctx ends.
//
// Before anything changes, Apply checks every file. The error matches
// [ErrStale] if the content is neither the plan's old content nor its new
// content, and [ErrIrreplaceable] if the file is a link or has several hard
// links.
func (p HostPlan) Apply(ctx context.Context, root *os.Root, run Runner) error {
	return alone(ctx, "apply", rootFiles{root}, func(d disk) error { return p.apply(ctx, d, run) })
}

// The function "alone" calls the function "change" while a lock keeps other
// processes from changing the same machine.
func alone(ctx context.Context, name string, files fileSystem, change func(disk) error) error {
	err := ctx.Err()
	if err == nil {
		var unlock func()
		if unlock, err = files.Lock(ctx); err == nil {
			defer unlock()
			err = change(disk{files})
		}
	}
	if err != nil {
		return fmt.Errorf("iommu: %s: %w", name, err)
	}
	return nil
}

func (p HostPlan) apply(ctx context.Context, d disk, run Runner) error {
	j, err := d.loadJournal()
	if err != nil {
		return err
	}
	files, err := p.pending(d)
	if err != nil {
		return err
	}
	open := len(j.Entries) > 0 && !j.Entries[len(j.Entries)-1].Done
	if len(files) == 0 && !open {
		return nil
	}
	if !open {
		j.Entries = append(j.Entries, entry{})
	}
	e := &j.Entries[len(j.Entries)-1]
	if err := d.clearAll(e.Files); err != nil {
		return err
	}
	if len(files) > 0 {
		if err := e.add(files, p.Commands, d); err != nil {
			return err
		}
		if err := d.begin(&j); err != nil {
			return err
		}
	}
	if err := d.mkdirs(e.Made); err != nil {
		return err
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.put(file, file.After); err != nil {
			return err
		}
	}
	if left, err := p.pending(d); err != nil || len(left) > 0 { // checks the files by reading them back
		return cmp.Or(err, ErrForeignEdit)
	}
	if err := runAll(ctx, e.Commands, run); err != nil {
		return err
	}
	e.Done = true
	return d.saveJournal(j)
}

// The method "pending" returns the changes that have not been made yet.
func (p HostPlan) pending(d disk) ([]saved, error) {
	var files []saved
	for _, c := range p.Changes {
		s, now, err := d.look(c.Path)
		if err != nil {
			return nil, err
		}
		before, after := raw(c.Before), raw(c.After)
		switch {
		case equal(now, after):
		case equal(now, before):
			s.Before, s.After = before, after
			files = append(files, s)
		default:
			return nil, fmt.Errorf("/%s: %w", c.Path, ErrStale)
		}
	}
	return files, nil
}

// The method "add" puts files into an entry. For a file that is in the entry
// already, it keeps the content that was stored first.
func (e *entry) add(files []saved, commands [][]string, d disk) error {
	for _, file := range files {
		i := slices.IndexFunc(e.Files, func(s saved) bool { return s.Path == file.Path })
		if i >= 0 {
			e.Files[i].After = file.After
			continue
		}
		e.Files = append(e.Files, file)
		missing, err := d.missing(file.Path)
		if err != nil {
			return err
		}
		for _, dir := range missing {
			if !slices.Contains(e.Made, dir) {
				e.Made = append(e.Made, dir)
			}
		}
	}
	for _, command := range commands {
		if !slices.ContainsFunc(e.Commands, func(have []string) bool { return slices.Equal(have, command) }) {
			e.Commands = append(e.Commands, command)
		}
	}
	return nil
}

func runAll(ctx context.Context, commands [][]string, run Runner) error {
	if run == nil {
		return nil
	}
	for _, command := range commands {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := run(ctx, command); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
	}
	return nil
}
