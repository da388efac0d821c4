package iommu

import (
	"context"
	"fmt"
	"os"
	"slices"
)

// PlanUndo returns the changes that [Undo] would make below root, as a plan to
// show to a person. PlanUndo returns the same errors as Undo and changes
// nothing.
func PlanUndo(ctx context.Context, root *os.Root) (HostPlan, error) {
	var p HostPlan
	err := alone(ctx, "undo", rootFiles{root}, func(d disk) error {
		j, err := d.readJournal()
		if err != nil {
			return err
		}
		e, now, err := j.top(d)
		if err != nil {
			return err
		}
		for i, file := range e.Files {
			if c := (FileChange{Path: file.Path, Before: now[i], After: unraw(file.Before)}); !same(c.Before, c.After) {
				p.Changes = append(p.Changes, c)
			}
		}
		p.Commands, p.Reboot = e.Commands, "until then it runs as the plan set it up"
		return nil
	})
	return p, err
}

// Undo takes back the last applied plan below root, even if it was only applied
// in part. Every file that the plan changed gets back its bytes, mode, owner
// and extended attributes, or is removed if it did not exist before.
// Directories that the plan made are removed if they are empty. The plan's
// commands run again, so that they see the restored files.
//
// The error matches [ErrForeignEdit] if one of the files is not as the plan
// left it. Nothing is changed then. The error matches [ErrNothingToUndo] if
// there is no plan to take back. Like [HostPlan.Apply], Undo waits while
// another Apply or Undo works on the host.
func Undo(ctx context.Context, root *os.Root, run Runner) error {
	return alone(ctx, "undo", rootFiles{root}, func(d disk) error { return undo(ctx, d, run) })
}

// The method "top" returns the last applied plan, and the current content of its
// files.
func (j journal) top(d disk) (e entry, files []*string, err error) {
	if len(j.Entries) == 0 {
		return e, nil, ErrNothingToUndo
	}
	e = j.Entries[len(j.Entries)-1]
	for _, file := range e.Files {
		_, now, err := d.look(file.Path)
		if err != nil {
			return e, nil, err
		}
		if !equal(now, file.After) && !equal(now, file.Before) {
			return e, nil, fmt.Errorf("/%s: %w; it has neither the plan's content nor the content before the plan: take the edit back, then undo", file.Path, ErrForeignEdit)
		}
		files = append(files, unraw(now))
	}
	return e, files, nil
}

func undo(ctx context.Context, d disk, run Runner) error {
	j, err := d.loadJournal()
	if err != nil {
		return err
	}
	e, _, err := j.top(d)
	if err != nil {
		return err
	}
	if e.Done { // until all files are restored, Apply continues with this entry
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
