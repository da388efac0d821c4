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

// Main runs an example. Ctrl-C and SIGTERM end its context, so that it ends
// cleanly; a second one kills it. What does not print is quoted in all that it
// says. An error ends the program with status 1.
func Main(name string, run func(ctx context.Context, args []string, out io.Writer) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, os.Args[1:], printable.Writer(os.Stdout)); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(printable.Writer(os.Stderr), name+":", err)
		os.Exit(1)
	}
}
