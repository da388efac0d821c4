// Package term writes the output of the examples. Lines are as wide as the
// terminal and broken between words. Colours are used only where they are
// wanted. Work under way has a single line.
package term

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Terminal is the place to which a program writes. Unprintable characters are
// quoted. Only one goroutine at a time may call its methods.
type Terminal struct {
	w      io.Writer
	width  int
	colour bool
	live   bool // whether a line can be overwritten
	under  int  // the length of the current line of progress
}

// defaultWidth is used for files, pipes and terminals that do not report a
// width.
const defaultWidth = 80

// Open returns the terminal of a file such as os.Stdout. It uses colours if the
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

// Of returns w itself if w is a Terminal. Otherwise it returns a Terminal that
// writes to w, 80 columns wide and without colours.
func Of(w io.Writer) *Terminal {
	if t, ok := w.(*Terminal); ok {
		return t
	}
	return &Terminal{w: w, width: defaultWidth}
}

// IsTerminal reports whether a file such as os.Stdin is a terminal, so that a
// person can answer.
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

// Error writes the name of the program and an error. It breaks lines only on a
// terminal, because people search and store output that goes elsewhere.
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

// paragraph writes a text. The parameter "first" is the prefix of the first line,
// and others is the prefix of all other lines. Colour codes in a prefix do not
// count as width.
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

// paint colours a text, if colours are wanted.
func (t *Terminal) paint(c colour, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}
