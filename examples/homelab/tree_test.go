package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
)

// described writes the files of the host in examples/host/host.txt to a new
// directory, and returns the path.
func described(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "host", "host.txt"))
	if err != nil {
		t.Fatal(err)
	}
	tree, err := hosttree.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := tree.WriteDir(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tree returns all files of a directory with their content.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		all = append(all, name+"\n"+string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
