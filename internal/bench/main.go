// Bench prints how fast the library is compared with its peers, and how much an
// import of it adds to a program:
//
//	go run ./internal/bench            # the table of docs/performance.md, some minutes
//	go run ./internal/bench -short     # small machines, one round, to see that everything still runs
//	go run ./internal/bench -weight    # modules, packages and megabytes of each import
//
// The peers are ghw, NVIDIA's nvpci, lspci where it is installed, a loop over
// go-proxmox, and a plain read of the same files. They are dependencies of the
// separate module internal/bench/peers, so importers of the library do not get
// them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	short := flag.Bool("short", false, "small machines, one round")
	weigh := flag.Bool("weight", false, "print what each import weighs")
	flag.Parse()
	ctx := context.Background()
	var err error
	switch root, rootErr := moduleDir(ctx); {
	case rootErr != nil:
		err = rootErr
	case *weigh:
		err = weight(ctx, root, os.Stdout)
	default:
		err = compare(ctx, root, *short)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// moduleDir returns the library's root directory.
func moduleDir(ctx context.Context) (string, error) {
	out, err := output(exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}"))
	return strings.TrimSpace(out), err
}

// compare runs the program that measures. This program is in a separate module.
func compare(ctx context.Context, root string, short bool) error {
	command := exec.CommandContext(ctx, "go", "run", ".", fmt.Sprintf("-short=%t", short))
	command.Dir = filepath.Join(root, "internal", "bench", "peers")
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	return command.Run()
}

// output runs a command and returns the text that the command prints.
func output(command *exec.Cmd) (string, error) {
	out, err := command.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command.Args, " "), err, failed.Stderr)
	}
	return string(out), err
}
