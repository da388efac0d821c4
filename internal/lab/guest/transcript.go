package guest

import (
	"regexp"
	"strings"
	"sync"
)

// A Transcript collects the output of a program or of a serial port. It is safe
// for concurrent use.
type Transcript struct {
	mu    sync.Mutex
	bytes []byte
}

// Write implements [io.Writer]. It never fails.
func (s *Transcript) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes = append(s.bytes, p...)
	return len(p), nil
}

// escapes matches control sequences (ECMA-48, section 5.4).
var escapes = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]")

// Text returns the output without control sequences. Firmware uses such
// sequences to colour its text and to move the cursor.
func (s *Transcript) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return escapes.ReplaceAllString(string(s.bytes), "")
}

// Tail returns the last 60 lines of the output.
func (s *Transcript) Tail() string {
	lines := strings.Split(strings.ReplaceAll(s.Text(), "\r", ""), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
