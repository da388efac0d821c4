package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
)

//go:embed host.txt
var described []byte

// demonstrate runs all steps on a described host in a temporary directory. It
// shows the verdict, the plan and the changed files. It also shows that undo
// restores every byte.
func demonstrate(ctx context.Context, root string, out io.Writer) (err error) {
	name := root
	if root == "" {
		if name, err = writeDescription(); err != nil {
			return err
		}
		defer os.Remove(name)
	}
	m, err := openMachine(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	m.out = out
	facts, err := m.facts()
	if err != nil {
		return err
	}
	before, err := snapshot(m.files.FS())
	if err != nil {
		return err
	}
	m.say("== A described host, in %s ==\n", m.files.Name())
	addresses, err := spare(facts)
	if err != nil {
		return err
	}
	if err := m.keep(ctx, facts, addresses, request{apply: true, args: []string{"iommu=pt"}}); err != nil {
		return err
	}
	m.say("\n== Undo ==\n")
	if err := m.undo(ctx); err != nil && !errors.Is(err, iommu.ErrNothingToUndo) {
		return err
	}
	after, err := snapshot(m.files.FS())
	if err != nil {
		return err
	}
	if !maps.Equal(before, after) {
		return errors.New("undo did not return every byte")
	}
	m.say("Compared: %d files, directories and links, byte for byte, with their modes.", len(after))
	return nil
}

func writeDescription() (name string, err error) {
	f, err := os.CreateTemp("", "host-*.txt")
	if err != nil {
		return "", err
	}
	_, err = f.Write(described)
	return f.Name(), errors.Join(err, f.Close())
}

// spare returns the functions of a card that the host does not need. It prefers
// a card on which the firmware did not show a picture.
func spare(facts iommu.Facts) ([]iommu.Address, error) {
	err := errors.New("this host has no graphics card")
	cards := gpu.Cards(facts.Functions)
	slices.SortStableFunc(cards, func(a, b gpu.Card) int { return int(a.Display().BootVGA) - int(b.Display().BootVGA) })
	for _, card := range cards {
		var addresses []iommu.Address
		for _, fn := range card.Functions {
			addresses = append(addresses, fn.Address)
		}
		plan, planErr := facts.Prepare(addresses, nil)
		if planErr == nil && !plan.Empty() {
			return addresses, nil
		}
		err = planErr
		if planErr == nil {
			err = fmt.Errorf("%s is kept already", card.Address())
		}
	}
	return nil, err
}

// snapshot returns the content of all files below a directory.
func snapshot(tree fs.FS) (map[string]string, error) {
	all := map[string]string{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := fs.Lstat(tree, name)
		if err != nil {
			return err
		}
		content := []byte(nil)
		if info.Mode().IsRegular() {
			if content, err = fs.ReadFile(tree, name); errors.Is(err, fs.ErrPermission) {
				content, err = nil, nil
			}
		}
		all[name] = fmt.Sprint(info.Mode(), " ", string(content))
		return err
	})
	return all, err
}
