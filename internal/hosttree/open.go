package hosttree

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/sysfs"
)

// Open returns the tree of a machine. A name that ends in .txt is a described
// host. Any other name is a directory that contains sys, proc, etc, boot and
// run, such as a capture. If the files qm.conf (VM 100) or VMID.conf lie beside
// a described host, they are the configurations of the host's VMs. Open follows
// no link out of the directory, and opens no device or pipe in it. The errors
// match [ErrIncomplete] if the directory is an interrupted capture.
func Open(name string) (fs.FS, error) {
	if strings.HasSuffix(name, ".txt") {
		description, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("hosttree: %w", err)
		}
		vms, err := beside(filepath.Dir(name))
		if err != nil {
			return nil, fmt.Errorf("hosttree: %w", err)
		}
		return Parse(append(description, vms...))
	}
	tree, err := sysfs.OpenTree(name)
	if err != nil {
		return nil, fmt.Errorf("hosttree: %w", err)
	}
	if err := checkCapture(tree); err != nil {
		return nil, fmt.Errorf("hosttree: %s: %w", name, err)
	}
	return tree, nil
}

// The function "beside" returns description lines for the VM configurations in
// a directory.
func beside(dir string) ([]byte, error) {
	var lines []byte
	files, err := filepath.Glob(filepath.Join(dir, "*.conf"))
	for _, file := range files {
		vmid, _ := strings.CutSuffix(filepath.Base(file), ".conf")
		if vmid == "qm" {
			vmid = "100"
		}
		if _, err := strconv.ParseUint(vmid, 10, 32); err != nil {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		lines = fmt.Appendf(lines, "\nfile etc/pve/qemu-server/%s.conf %s\n", vmid, strconv.Quote(string(text)))
	}
	return lines, err
}
