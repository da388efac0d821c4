package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"github.com/proxstation/proxstation/iommu"
)

// boundFile is the path of the file that stores the drivers that functions had
// before the program bound them. A restart of the host empties /run and gives
// every function back to its driver.
const boundFile = "run/proxstation/bound.json"

// bind binds functions to vfio-pci until the host's next start.
func (m *machine) bind(facts iommu.Facts, addresses []iommu.Address, r request) error {
	m.verdict(facts, addresses)
	binding, err := facts.Bind(addresses, &iommu.BindOptions{Allow: r.allow})
	if err != nil {
		return m.refused(err)
	}
	m.say("%s", binding)
	if !r.apply {
		m.say("Nothing was changed. To carry this out, run the same command with -apply, as root.")
		return nil
	}
	before, err := m.bound()
	if err != nil {
		return err
	}
	bound := iommu.Binding{Functions: slices.Clone(before.Functions)}
	for _, fn := range binding.Functions { // a function that is bound already keeps its first entry
		if !slices.ContainsFunc(bound.Functions, func(b iommu.Rebind) bool { return b.Address == fn.Address }) {
			bound.Functions = append(bound.Functions, fn)
		}
	}
	if err := m.remember(bound); err != nil {
		return err
	}
	if err := m.sysfs(binding.Apply); err != nil { // after an error, Apply has already given back the functions that it bound
		return errors.Join(err, m.remember(before))
	}
	m.say("Done. To give it back: go run ./examples/host -release -apply")
	return nil
}

// release gives functions back to their old drivers. Without addresses it gives
// all of them back.
func (m *machine) release(addresses []iommu.Address, r request) error {
	bound, err := m.bound()
	if err != nil {
		return err
	}
	var back, rest iommu.Binding
	for _, fn := range bound.Functions {
		if len(addresses) == 0 || slices.Contains(addresses, fn.Address) {
			back.Functions = append(back.Functions, fn)
		} else {
			rest.Functions = append(rest.Functions, fn)
		}
	}
	if len(back.Functions) == 0 {
		return fmt.Errorf("/%s lists no such function: -release gives back what -bind took; what -keep keeps, -give-back gives back", boundFile)
	}
	for _, fn := range back.Functions {
		m.say("~ %s %s  vfio-pci -> %s", fn.Address, fn.Model, driver(iommu.Function{Driver: fn.Driver}))
	}
	if !r.apply {
		m.say("Nothing was changed. To carry this out, run the same command with -apply, as root.")
		return nil
	}
	if err := m.sysfs(back.Release); err != nil {
		return err
	}
	m.say("Done.")
	return m.remember(rest)
}

// sysfs runs a change on the kernel's files in /sys.
func (m *machine) sysfs(change func(*os.Root) error) error {
	sys, err := m.files.OpenRoot("sys")
	if err != nil {
		return err
	}
	defer sys.Close()
	return change(sys)
}

// bound returns the functions that were bound since the host's start.
func (m *machine) bound() (iommu.Binding, error) {
	var b iommu.Binding
	text, err := m.files.ReadFile(boundFile)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &b)
	}
	if err != nil {
		return b, fmt.Errorf("/%s: %w", boundFile, err)
	}
	return b, nil
}

// remember stores the drivers of functions in boundFile. It is called before
// the functions are bound.
func (m *machine) remember(b iommu.Binding) error {
	if len(b.Functions) == 0 {
		return m.files.Remove(boundFile)
	}
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	if err := m.files.MkdirAll(path.Dir(boundFile), 0o755); err != nil {
		return err
	}
	temp := boundFile + ".new"
	if err := m.files.WriteFile(temp, text, 0o600); err != nil {
		return err
	}
	return m.files.Rename(temp, boundFile)
}
