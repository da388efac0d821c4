package guest_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/proxstation/proxstation/internal/lab/guest"
)

func TestTranscript(t *testing.T) {
	t.Parallel()
	var said guest.Transcript
	fmt.Fprint(&said, "\x1b[2J\x1b[01;01H\x1b[=3hBoot\x1b[0m0001\x1b[!p\x1b[?7h\r\n")
	if got := said.Text(); got != "Boot0001\r\n" {
		t.Errorf("the text is %q", got)
	}
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { fmt.Fprint(&said, "line\r\n") })
	}
	all.Wait()
	if got := said.Tail(); got != strings.Repeat("line\n", 59) { // the last line is empty
		t.Errorf("the tail is %q", got)
	}
	if got := said.Text(); strings.Count(got, "line\r\n") != 100 {
		t.Errorf("the text is %q", got)
	}
}
