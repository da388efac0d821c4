// Peers measures the library and its peers in turns, and prints a table. The
// command "go run ./internal/bench" in the library's root directory runs this
// program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	short := flag.Bool("short", false, "small machines, one round")
	flag.Parse()
	if err := run(context.Background(), *short); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, short bool) error {
	fmt.Printf("%s, %d processors, %s, Go %s, %s.\n\n", processor(), runtime.NumCPU(), kernel(), strings.TrimPrefix(runtime.Version(), "go"), time.Now().Format(time.DateOnly))
	fmt.Print("| work | ours | beside it | its time | ours ÷ its | goal |\n|---|---:|---|---:|---:|---|\n")
	for _, measure := range []func(context.Context, bool) error{files, report, node, clusters, judgements} {
		if err := measure(ctx, short); err != nil {
			return err
		}
	}
	return nil
}

// processor returns the processor's name.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // the file exists on Linux only
	for line := range strings.Lines(string(text)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// kernel returns the name of the operating system's kernel.
func kernel() string {
	text, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return runtime.GOOS
	}
	return "Linux " + strings.TrimSpace(string(text))
}
