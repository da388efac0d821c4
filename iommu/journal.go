package iommu

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
)

// journalFile holds the files as they were before the plans changed them. Its
// path starts at the machine's root. Only root can read it.
const journalFile = "var/lib/proxstation/host.json"

// A journal is a stack of applied plans, the last one on top.
type journal struct {
	Entries []entry  `json:"entries"`
	Made    []string `json:"made,omitempty"` // directories made for the journal itself
}

// An entry is a plan that was applied or is being applied.
type entry struct {
	Files    []saved    `json:"files"`
	Made     []string   `json:"made,omitempty"` // directories that the plan made, in order
	Commands [][]string `json:"commands,omitempty"`
	Done     bool       `json:"done"` // all files were written and all commands have run
}

// The type "saved" holds a change, and the file as it was before the change.
// The content is a byte slice, because JSON's strings can only hold UTF-8. It
// is nil if the file did not exist.
type saved struct {
	Path   string            `json:"path"`
	Before []byte            `json:"before"`
	After  []byte            `json:"after"`
	Mode   fs.FileMode       `json:"mode,omitempty"`  // permissions, setuid, setgid and sticky
	Owner  [2]int            `json:"owner"`           // user and group
	Attrs  map[string][]byte `json:"attrs,omitempty"` // extended attributes, ACLs among them
}

// raw returns the bytes of a text. For a nil text it returns nil.
func raw(text *string) []byte {
	if text == nil {
		return nil
	}
	return append([]byte{}, *text...)
}

// unraw returns bytes as the text of a plan's change. For nil it returns nil.
func unraw(content []byte) *string {
	if content == nil {
		return nil
	}
	text := string(content)
	return &text
}

func equal(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// loadJournal reads the journal, and removes the leftovers of a killed run
// beside it.
func (d disk) loadJournal() (journal, error) {
	j, err := d.readJournal()
	switch {
	case err != nil:
		return j, err
	case len(j.Entries) == 0:
		return j, d.clearJournal(nil)
	}
	return j, d.clear(journalFile)
}

func (d disk) readJournal() (journal, error) {
	var j journal
	_, data, err := d.look(journalFile)
	if err != nil || data == nil {
		return j, err
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return j, fmt.Errorf("/%s: %w", journalFile, err)
	}
	return j, nil
}

// clearJournal removes the journal's directory and the directories that were
// made for it. It keeps a directory that holds files of others.
func (d disk) clearJournal(made []string) error {
	dir := path.Dir(journalFile)
	if _, err := d.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := d.clear(journalFile); err != nil {
		return err
	}
	return d.rmdirs(append(made, dir))
}

// The method "begin" writes the journal before anything else changes. It makes
// the journal's directory if necessary.
func (d disk) begin(j *journal) error {
	made, err := d.missing(journalFile)
	if err != nil {
		return err
	}
	j.Made = append(j.Made, made...)
	if err := d.mkdirs(made); err != nil {
		return err
	}
	return d.saveJournal(*j)
}

// saveJournal writes the journal. A journal without entries is removed, and so
// are the directories made for it.
func (d disk) saveJournal(j journal) error {
	file := saved{Path: journalFile, Mode: 0o600, Owner: [2]int{os.Geteuid(), os.Getegid()}}
	if len(j.Entries) == 0 {
		if dirs, err := d.missing(journalFile); err != nil || len(dirs) > 0 {
			return err
		}
		if err := d.put(file, nil); err != nil {
			return err
		}
		return d.clearJournal(j.Made)
	}
	data, err := json.MarshalIndent(j, "", "\t")
	if err != nil {
		return err
	}
	return d.put(file, append(data, '\n'))
}
