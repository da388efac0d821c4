package lab

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
)

// Tools returns the files that programs of this machine need inside, for
// [Boot.Files]. The programs are in /bin, and their shared libraries have the
// same paths as on this machine. The error matches [ErrMissing] if this machine
// lacks a program.
func Tools(ctx context.Context, programs ...string) (map[string]string, error) {
	files := map[string]string{}
	for _, program := range programs {
		here, err := exec.LookPath(program)
		if err != nil {
			here, err = exec.LookPath(filepath.Join("/usr/sbin", program)) // users do not have this directory in their PATH
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMissing, err)
		}
		files["/bin/"+program] = here
		output, err := exec.CommandContext(ctx, "ldd", here).Output()
		if err != nil {
			return nil, fmt.Errorf("lab: ldd %s: %w", here, err)
		}
		for _, library := range parseLdd(string(output)) {
			files[library] = library
		}
	}
	return files, nil
}

var library = regexp.MustCompile(`(?m)^\s(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$`)

// parseLdd returns the paths of the libraries in the output of ldd(1).
func parseLdd(output string) []string {
	var paths []string
	for _, match := range library.FindAllStringSubmatch(output, -1) {
		paths = append(paths, match[1])
	}
	return paths
}
