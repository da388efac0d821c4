package iommu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
)

// The reasons why a host plan cannot be applied or undone.
var (
	// ErrForeignEdit means that a file was edited by someone else since.
	ErrForeignEdit = errors.New("edited by someone else since")
	// ErrNothingToUndo means that no applied plan is left.
	ErrNothingToUndo = errors.New("nothing to undo")
)

// A Runner runs a command of a plan on the host and waits for it.
type Runner func(ctx context.Context, command []string) error

// Exec is a [Runner] for the machine that the program runs on. Its error has
// the end of the command's output.
func Exec(ctx context.Context, command []string) error {
	if len(command) == 0 {
		return errors.New("iommu: a command without a program")
	}
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out[max(0, len(out)-400):])))
	}
	return nil
}

// Apply makes the plan's changes below root, the host's root directory, and
// then runs its commands; with a nil run they are the caller's to run. Each
// file is replaced at once, so that a power cut leaves it old or new, and what
// it was is remembered for [Undo] before. Applied again, after an error or a
// power cut too, it goes on where it was; applied to a host that matches, it
// writes nothing and runs nothing. A file that is neither as the plan found it
// nor as the plan wants it is an error that matches [ErrStale], and nothing is
// changed. It needs root.
func (p HostPlan) Apply(ctx context.Context, root *os.Root, run Runner) error {
	if err := p.apply(ctx, disk{root: root}, run); err != nil {
		return fmt.Errorf("iommu: apply: %w", err)
	}
	return nil
}

func (p HostPlan) apply(ctx context.Context, d disk, run Runner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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
	if len(files) > 0 {
		e.add(files, p.Commands, d)
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
	if err := runAll(ctx, e.Commands, run); err != nil {
		return err
	}
	e.Done = true
	return d.saveJournal(j)
}

// begin writes the journal before anything else changes, for which its
// directory may have to be made.
func (d disk) begin(j *journal) error {
	made := d.missing(journalFile)
	j.Made = append(j.Made, made...)
	if err := d.mkdirs(made); err != nil {
		return err
	}
	return d.saveJournal(*j)
}

// pending returns the changes that are not made yet.
func (p HostPlan) pending(d disk) ([]saved, error) {
	var files []saved
	for _, c := range p.Changes {
		now, s, err := d.look(c.Path)
		if err != nil {
			return nil, err
		}
		before, after := raw(c.Before), raw(c.After)
		switch {
		case equal(now, after):
		case equal(now, before):
			s.Path, s.Before, s.After = c.Path, before, after
			files = append(files, s)
		default:
			return nil, fmt.Errorf("/%s: %w", c.Path, ErrStale)
		}
	}
	return files, nil
}

// add adds files to an entry. A file that is in it already keeps what it was
// before all.
func (e *entry) add(files []saved, commands [][]string, d disk) {
	for _, file := range files {
		i := slices.IndexFunc(e.Files, func(s saved) bool { return s.Path == file.Path })
		if i >= 0 {
			e.Files[i].After = file.After
			continue
		}
		e.Files = append(e.Files, file)
		for _, dir := range d.missing(file.Path) {
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
}

func runAll(ctx context.Context, commands [][]string, run Runner) error {
	if run == nil {
		return nil
	}
	for _, command := range commands {
		if err := run(ctx, command); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(command, " "), err)
		}
	}
	return nil
}

// Undo takes back the plan that was applied last below root, also one that was
// applied in part: every file it changed gets back its bytes, its mode and its
// owner, or is gone again, and so are directories that were made. The plan's
// commands are run again, so that they see the files. It is an error that
// matches [ErrForeignEdit] if one of the files is not as the plan left it, and
// then nothing is changed; [ErrNothingToUndo] if there is no plan.
func Undo(ctx context.Context, root *os.Root, run Runner) error {
	if err := undo(ctx, disk{root: root}, run); err != nil {
		return fmt.Errorf("iommu: undo: %w", err)
	}
	return nil
}

func undo(ctx context.Context, d disk, run Runner) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j, err := d.loadJournal()
	if err != nil {
		return err
	}
	if len(j.Entries) == 0 {
		return ErrNothingToUndo
	}
	e := j.Entries[len(j.Entries)-1]
	for _, file := range e.Files {
		now, _, err := d.look(file.Path)
		if err != nil {
			return err
		}
		if !equal(now, file.After) && !equal(now, file.Before) {
			return fmt.Errorf("/%s: %w", file.Path, ErrForeignEdit)
		}
	}
	if e.Done { // from here on Apply would go on with it
		j.Entries[len(j.Entries)-1].Done = false
		if err := d.saveJournal(j); err != nil {
			return err
		}
	}
	for _, file := range slices.Backward(e.Files) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := d.restore(file); err != nil {
			return err
		}
	}
	if err := d.rmdirs(e.Made); err != nil {
		return err
	}
	if err := runAll(ctx, e.Commands, run); err != nil {
		return err
	}
	j.Entries = j.Entries[:len(j.Entries)-1]
	return d.saveJournal(j)
}

// restore gives a file back what it was before, and clears away what a power
// cut left beside it.
func (d disk) restore(file saved) error {
	if slices.Contains(d.missing(file.Path), path.Dir(file.Path)) {
		return nil // its directory was never made, or is gone again
	}
	now, s, err := d.look(file.Path)
	if err != nil {
		return err
	}
	if err := d.clear(file.Path); err != nil {
		return err
	}
	if equal(now, file.Before) && (now == nil || s.Mode == file.Mode && s.Owner == file.Owner) {
		return nil
	}
	return d.put(file, file.Before)
}

func (d disk) clear(name string) error {
	if err := d.step("clear %s", name); err != nil {
		return err
	}
	if _, err := d.root.Lstat(tempName(name)); err != nil {
		return nil
	}
	return d.root.Remove(tempName(name))
}
