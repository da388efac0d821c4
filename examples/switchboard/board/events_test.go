package board

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A stream is an open response to which the board writes events.
type stream struct {
	*httptest.ResponseRecorder
	mu sync.Mutex
}

func (s *stream) Write(data []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ResponseRecorder.Write(data)
}

func (s *stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ResponseRecorder.Flush()
}

// The method "events" returns the events that came since its last call.
func (s *stream) events() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.TrimSuffix(s.Body.String(), "\n\n")
	s.Body.Reset()
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n\n")
}

// listen opens a stream of events at a path.
func (b *bench) listen(path string) (s *stream, done func()) {
	ctx, cancel := context.WithCancel(b.t.Context())
	s = &stream{ResponseRecorder: httptest.NewRecorder()}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Host = "localhost"
	var work sync.WaitGroup
	work.Go(func() { b.handler.ServeHTTP(s, r) })
	synctest.Wait()
	return s, func() { cancel(); work.Wait() }
}

// The board reads the node once for all viewers, and never while there are no
// viewers.
func TestViewersShareWhatIsRead(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		var ends []func()
		for range 20 {
			_, done := b.listen("/events")
			ends = append(ends, done)
		}
		time.Sleep(time.Minute)
		statuses, visits := b.node.asked()
		if statuses < 20 || statuses > 31 || visits < 1 || visits > 2 {
			t.Errorf("20 viewers cause %d statuses and %d observations in a minute", statuses, visits)
		}
		for _, done := range ends {
			done()
		}
		statuses, visits = b.node.asked()
		time.Sleep(time.Hour)
		if s, v := b.node.asked(); s != statuses || v != visits {
			t.Errorf("%d statuses and %d observations for nobody", s-statuses, v-visits)
		}
		for range 10 {
			b.ask("GET", "/api/status", "")
		}
		if s, v := b.node.asked(); s != statuses+1 || v != visits+1 {
			t.Errorf("ten requests at once cause %d statuses and %d observations", s-statuses, v-visits)
		}
	})
}

func TestEvents(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		page, endPage := b.listen("/events")
		api, endAPI := b.listen("/api/events")
		time.Sleep(time.Second)
		if kind := page.Header().Get("Content-Type"); kind != "text/event-stream" {
			t.Errorf("Content-Type %s", kind)
		}
		last := func(s *stream) string {
			events := s.events()
			if len(events) == 0 {
				return ""
			}
			return events[len(events)-1]
		}
		if got := last(page); !strings.HasPrefix(got, "event: state\ndata: ") || !strings.Contains(got, "\ndata: <h2 id=\"systems-title\"") {
			t.Errorf("the first event of the page:\n%s", got)
		}
		if got := last(api); !strings.HasPrefix(got, "event: state\ndata: {\"host\":\"pve\"") {
			t.Errorf("the first event of the API:\n%s", got)
		}
		time.Sleep(10 * time.Second)
		if got := api.events(); len(got) != 2 || got[0] != "event: beat\ndata" {
			t.Errorf("while nothing changes: %q", got)
		}
		b.want(http.StatusSeeOther, "", "POST", "/switch/141", "from=140")
		time.Sleep(4 * time.Second)
		if got := last(page); !strings.Contains(got, "Windows is shutting down") {
			t.Errorf("during a switch:\n%s", got)
		}
		time.Sleep(2 * time.Minute)
		if got := strings.Join(api.events(), "\n"); !strings.Contains(got, `"phase":"up"`) || !strings.Contains(got, `"title":"Linux AI has the card."`) {
			t.Errorf("after the switch:\n%s", got)
		}
		endAPI()
		if err := b.sim.PowerOff(141); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if got := last(page); !strings.Contains(got, "Start Linux AI") {
			t.Errorf("after somebody else switched it off:\n%s", got)
		}
		b.board.Close()
		synctest.Wait()
		if got := last(page); got != "event: end\ndata" {
			t.Errorf("at the end: %q", got)
		}
		endPage()
		b.want(http.StatusOK, "", "HEAD", "/events", "")
	})
}
