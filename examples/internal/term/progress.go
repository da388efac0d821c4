package term

import (
	"fmt"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/printable"
	"github.com/proxstation/proxstation/workstation"
)

// Progress returns a function that writes events. On a terminal, the work under
// way has one line, which shows how long the work has taken and may take.
// Elsewhere each wait gets its own line.
func (t *Terminal) Progress() func(workstation.Event) {
	last, began := workstation.Event{}, time.Now()
	return func(e workstation.Event) {
		same := e.Phase == last.Phase && e.Step == last.Step && e.Message == last.Message
		if e.Phase != last.Phase || e.Step != last.Step {
			t.settle()
			began = time.Now().Add(-e.Elapsed)
		}
		if same && !t.live || isTimer(e.Message) && !t.live {
			return
		}
		text := e.Message
		if isTimer(text) {
			text = last.Message // the same task of PVE still runs, and only its time has changed
		}
		last = e
		last.Message = text
		t.status(line(e, text, time.Since(began)))
		for _, warning := range e.Warnings {
			t.paragraph("  "+t.paint(yellow, "warning")+": ", "    ", printable.Line(warning))
		}
		if e.Phase == workstation.PhaseDone {
			t.settle()
		}
	}
}

// isTimer reports whether a message only gives the time that a PVE task has
// been running, such as "qmstart for 3s".
func isTimer(message string) bool {
	task, rest, found := strings.Cut(message, " for ")
	_, err := time.ParseDuration(rest)
	return found && err == nil && !strings.Contains(task, " ")
}

// line returns the text of an event, with the time that the work has taken so
// far, and the time that it may take.
func line(e workstation.Event, text string, elapsed time.Duration) string {
	step := string(e.Phase)
	if e.Of > 0 {
		step = fmt.Sprintf("%d/%d", e.Step, e.Of)
	}
	took := seconds(elapsed)
	if e.Limit > 0 {
		took += " of " + seconds(e.Limit)
	}
	return fmt.Sprintf("  %-10s  %-12s  %s", step, took, printable.Line(text))
}

// seconds returns a time as "12 s" or "3 min".
func seconds(d time.Duration) string {
	switch {
	case d >= time.Minute && d%time.Minute == 0:
		return fmt.Sprintf("%d min", d/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%d:%02d min", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}

// status writes a line. On a terminal the line replaces the current line of
// progress.
func (t *Terminal) status(text string) {
	if !t.live {
		fmt.Fprintln(t.w, text)
		return
	}
	if runes := []rune(text); len(runes) > t.width-1 {
		text = string(runes[:t.width-2]) + "…"
	}
	fmt.Fprint(t.w, "\r\x1b[K"+text)
	t.under = len(text)
}

// End ends the current line of progress.
func (t *Terminal) End() { t.settle() }

// settle ends the current line of progress.
func (t *Terminal) settle() {
	if t.under > 0 {
		t.under = 0
		fmt.Fprintln(t.w)
	}
}
