// Package term is how the examples speak: lines as wide as the terminal, broken
// between words, in colour where colour is wanted, and work that is under way in
// one line.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Terminal is where a program writes to. What does not print is quoted. The
// methods of a Terminal are for one goroutine at a time.
type Terminal struct {
	w      io.Writer
	width  int
	colour bool
	live   bool // a line can be written over
	under  int  // how long the line is that is under way
}

// defaultWidth is used for files, pipes and terminals that do not tell.
const defaultWidth = 80

// Open returns the terminal of a file such as os.Stdout. Colours are used if the
// file is a terminal and NO_COLOR (https://no-color.org) is not set.
func Open(file *os.File) *Terminal {
	fd := int(file.Fd())
	t := &Terminal{w: file, width: defaultWidth}
	if !term.IsTerminal(fd) || os.Getenv("TERM") == "dumb" {
		return t
	}
	if width, _, err := term.GetSize(fd); err == nil && width > 0 {
		t.width = max(width, 40)
	}
	t.live, t.colour = true, os.Getenv("NO_COLOR") == ""
	return t
}

// Of returns the terminal that w is, or makes one of w, 80 columns wide and
// without colours.
func Of(w io.Writer) *Terminal {
	if t, ok := w.(*Terminal); ok {
		return t
	}
	return &Terminal{w: w, width: defaultWidth}
}

// IsTerminal reports whether a person can answer at a file, such as os.Stdin.
func IsTerminal(file *os.File) bool { return term.IsTerminal(int(file.Fd())) }

// Write implements [io.Writer].
func (t *Terminal) Write(p []byte) (int, error) {
	t.settle()
	if _, err := io.WriteString(t.w, printable.Text(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Say writes a paragraph, broken between words.
func (t *Terminal) Say(format string, args ...any) {
	for line := range strings.Lines(fmt.Sprintf(format, args...)) {
		t.paragraph("", "", strings.TrimRight(line, "\n"))
	}
}

// Error writes an error behind the name of the program. Its lines are broken only
// on a terminal: elsewhere they are searched and kept.
func (t *Terminal) Error(name string, err error) {
	t.settle()
	if t.live {
		t.Say("%s: %v", name, err)
		return
	}
	fmt.Fprintln(t, name+":", err)
}

// Title writes the title of a part, with an empty line before and after.
func (t *Terminal) Title(text string) {
	t.settle()
	fmt.Fprintf(t.w, "\n%s\n\n", t.paint(bold, printable.Line(text)))
}

// paragraph writes a text with something in front of its first line and of its
// other lines. What is in front is as wide as it has characters without colour.
func (t *Terminal) paragraph(first, others, text string) {
	t.settle()
	front := first
	for _, line := range wrap(printable.Text(text), t.width-width(others)) {
		fmt.Fprintln(t.w, strings.TrimRight(front+line, " "))
		front = others
	}
}

// A colour is the number of a colour of ANSI terminals (ECMA-48, SGR).
type colour string

const (
	bold   colour = "1"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	cyan   colour = "36"
	dim    colour = "2"
)

// paint gives a text a colour, if colours are wanted.
func (t *Terminal) paint(c colour, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
