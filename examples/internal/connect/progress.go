package connect

import (
	"fmt"
	"io"
	"time"

	"github.com/proxstation/proxstation/workstation"
)

// Progress returns a function that prints events as they come, each message
// once, with the time since the first.
func Progress(out io.Writer) func(workstation.Event) {
	began, last := time.Now(), ""
	return func(e workstation.Event) {
		if e.Message == last {
			return
		}
		last = e.Message
		step := string(e.Phase)
		if e.Of > 0 {
			step = fmt.Sprintf("%d/%d", e.Step, e.Of)
		}
		fmt.Fprintf(out, "  %5.1fs  %-8s  %s\n", time.Since(began).Seconds(), step, e.Message)
	}
}
