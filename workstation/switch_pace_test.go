package workstation_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// A switch starts the target within half a second after the VM that had the
// card is off. While it waits for the guest to shut down, it makes at most five
// requests a second.
func TestPaceOfASwitch(t *testing.T) {
	t.Parallel()
	for _, shutdown := range []time.Duration{time.Second, 7 * time.Second, 40 * time.Second, 150 * time.Second} {
		t.Run(fmt.Sprint(shutdown), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				host := pair()
				host.Guests = map[int]pvetest.Guest{140: {Shutdown: shutdown}}
				var mu sync.Mutex
				var asked, start time.Time
				requests := 0 // requests between the shutdown and the start
				sim := pvetest.New(host, &pvetest.Options{OnRequest: func(r pvetest.Request) {
					mu.Lock()
					defer mu.Unlock()
					if !asked.IsZero() && start.IsZero() {
						requests++
					}
					switch {
					case r.Method == "POST" && strings.HasSuffix(r.Path, "/140/status/shutdown"):
						asked = time.Now()
					case r.Method == "POST" && strings.HasSuffix(r.Path, "/141/status/start"):
						start = time.Now()
					}
				}})
				time.Sleep(time.Minute)
				if err := open(sim).Switch(t.Context(), both, 141, nil); err != nil {
					t.Fatal(err)
				}
				off := asked.Add(shutdown)
				if late := start.Sub(off); late < 0 || late > 500*time.Millisecond {
					t.Errorf("the start was asked for %s after the VM was off", late)
				}
				if most := int(5*shutdown/time.Second) + 10; requests > most {
					t.Errorf("%d requests in %s, want at most %d", requests, shutdown, most)
				}
				t.Logf("start %s after off, %d requests in %s", start.Sub(off), requests, shutdown)
			})
		})
	}
}
