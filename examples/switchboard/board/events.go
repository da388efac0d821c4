package board

import (
	"bytes"
	"io"
	"net/http"
	"time"
)

// beat is the longest time between two events. If the page gets no event for a
// longer time, it reports that the server cannot be reached.
const beat = 5 * time.Second

// pageEvents sends the live part of the page as an event each time it changes.
func (b *Board) pageEvents(w http.ResponseWriter, r *http.Request) {
	b.stream(w, r, func(v View) ([]byte, error) { return rendered("live", b.shown(v)) })
}

// stream sends the rendered view each time the rendered text changes, until the
// viewer leaves or the board is closed (HTML Standard, server-sent events).
func (b *Board) stream(w http.ResponseWriter, r *http.Request, render func(View) ([]byte, error)) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // keeps nginx from buffering the events
	if r.Method == http.MethodHead {
		return
	}
	control := http.NewResponseController(w)
	defer b.watch()()
	ticks := time.NewTicker(time.Second)
	defer ticks.Stop()
	var last []byte
	sent := time.Now()
	for b.reads.Err() == nil {
		v, change := b.now()
		text, err := render(v)
		switch {
		case err != nil:
			return
		case !bytes.Equal(text, last):
			err = event(w, "state", text)
			last, sent = text, time.Now()
		case time.Since(sent) >= beat:
			err = event(w, "beat", nil)
			sent = time.Now()
		}
		if err != nil || control.Flush() != nil {
			return // the viewer has gone
		}
		select {
		case <-change:
		case <-ticks.C: // the view shows how long ago things happened
		case <-r.Context().Done():
			return
		case <-b.reads.Done():
		}
	}
	v, _ := b.now() // sends the view with the outcome of the last job
	if text, err := render(v); err == nil && !bytes.Equal(text, last) {
		_ = event(w, "state", text)
	}
	_ = event(w, "end", nil)
	_ = control.Flush()
}

// event writes one event. Each line of the text becomes a data line.
func event(w io.Writer, name string, text []byte) error {
	var b bytes.Buffer
	b.WriteString("event: " + name + "\n")
	for line := range bytes.Lines(text) {
		b.WriteString("data: ")
		b.Write(bytes.TrimRight(line, "\r\n"))
		b.WriteByte('\n')
	}
	if len(text) == 0 {
		b.WriteString("data\n")
	}
	b.WriteByte('\n')
	_, err := w.Write(b.Bytes())
	return err
}
