package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// ErrMissing reports that QEMU or the kernel is missing on this machine.
var ErrMissing = errors.New("lab: needs qemu-system-x86_64, and internal/lab/kernel.sh to have run")

// A Lab holds the paths of the programs and files on this machine that a boot
// needs.
type Lab struct {
	qemu    string
	kernel  string
	modules map[string][]string // the files of each module, in the order in which they are loaded
	dir     string              // the directory with the modules
	version string              // the kernel's release
}

// Find finds QEMU, and the kernel that kernel.sh put into dir. Its error
// matches [ErrMissing] and names the missing part.
func Find(dir string) (Lab, error) {
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return Lab{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	l := Lab{qemu: qemu, kernel: filepath.Join(dir, "vmlinuz"), dir: filepath.Join(dir, "modules"), modules: map[string][]string{}}
	list, err := os.ReadFile(filepath.Join(dir, "modules.list"))
	if err != nil {
		return Lab{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	for line := range strings.Lines(string(list)) {
		if name, files, ok := strings.Cut(line, ":"); ok {
			l.modules[name] = strings.Fields(files)
		}
	}
	version, err := os.ReadFile(filepath.Join(dir, "version"))
	if err != nil {
		return Lab{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	l.version = strings.TrimSpace(string(version))
	return l, nil
}

// Kernel returns the kernel's release.
func (l Lab) Kernel() string { return l.version }

// initramfs returns the archive with which the machine of b boots.
func (l Lab) initramfs(b Boot) ([]byte, error) {
	plan := Plan{Disks: len(b.Machine.Disks), Commands: b.Commands}
	sources := map[string]string{"init": b.Init}
	for _, name := range b.Machine.Modules {
		needed, ok := l.modules[name]
		if !ok {
			return nil, fmt.Errorf("%w: module %s", ErrMissing, name)
		}
		for _, module := range needed {
			if !slices.Contains(plan.Modules, module) {
				plan.Modules = append(plan.Modules, module)
				sources["modules/"+module] = filepath.Join(l.dir, module)
			}
		}
	}
	for name, source := range b.Files {
		sources[strings.TrimPrefix(name, "/")] = source
	}
	for _, c := range b.Commands {
		sources["bin/"+c.Name] = c.Path
	}
	script, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	files := map[string]file{"plan.json": {0o644, script}, "tmp/.keep": {0o644, nil}}
	for name, source := range sources {
		data, err := os.ReadFile(source)
		if err != nil {
			return nil, err
		}
		files[name] = file{0o755, data}
	}
	var archive bytes.Buffer
	err = writeInitramfs(&archive, files)
	return archive.Bytes(), err
}
