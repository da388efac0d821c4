package connect

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/proxstation/proxstation/internal/printable"
)

// Main runs an example. Ctrl-C, SIGTERM (a service that is stopped) and SIGHUP
// (a terminal that is closed, unless nohup keeps it away) end its context, so
// that the program ends cleanly; a second signal kills it. A reader of the
// output that has gone does not end the program in the middle of its work. What
// does not print is quoted in all that it says. An error ends the program with
// status 1.
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	signal.Ignore(syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), signals...)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], printable.Writer(os.Stdout)); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(printable.Writer(os.Stderr), name+":", err)
		os.Exit(1)
	}
}
