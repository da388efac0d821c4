package board

import (
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The limits of guessing. After five wrong secrets from one place, that place
// has to wait before it may guess again. Each further wrong secret makes the
// wait longer, up to a quarter of an hour. All places together may give a
// hundred wrong secrets in a quarter of an hour.
const (
	freeMisses  = 5
	firstWait   = 10 * time.Second
	longestWait = 15 * time.Minute
	mostMisses  = 100
	mostPlaces  = 1000
)

// A throttle remembers wrong secrets by the place they came from. The zero
// throttle remembers no wrong secrets.
type throttle struct {
	mu     sync.Mutex
	places map[string]misses
	all    misses
}

type misses struct {
	count int
	last  time.Time
}

// wait returns the time for which guesses from a place are refused.
func (t *throttle) wait(place string, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait := time.Duration(0)
	if m := t.places[place]; m.count >= freeMisses {
		pause := longestWait
		if doublings := m.count - freeMisses; doublings < 7 {
			pause = min(firstWait<<doublings, longestWait)
		}
		wait = m.last.Add(pause).Sub(now)
	}
	if t.all.count >= mostMisses {
		wait = max(wait, t.all.last.Add(longestWait).Sub(now))
	}
	return max(wait, 0)
}

// miss counts a wrong secret.
func (t *throttle) miss(place string, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(now)
	if _, known := t.places[place]; known || len(t.places) < mostPlaces {
		t.places[place] = misses{t.places[place].count + 1, now}
	}
	t.all = misses{t.all.count + 1, now}
}

// forget drops wrong secrets that are older than the longest wait. The caller
// must hold the lock.
func (t *throttle) forget(now time.Time) {
	if t.places == nil {
		t.places = map[string]misses{}
	}
	for place, m := range t.places {
		if now.Sub(m.last) > longestWait {
			delete(t.places, place)
		}
	}
	if now.Sub(t.all.last) > longestWait {
		t.all = misses{}
	}
}

// hit drops the wrong secrets of a place that now gave the right secret.
func (t *throttle) hit(place string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.places, place)
}

// caller returns the place from which a request comes. This is an IPv4 address,
// or the network of an IPv6 address, because one machine can have any number of
// IPv6 addresses.
func caller(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap(); a.Is4() {
		return a.String()
	}
	return netip.PrefixFrom(a.WithZone(""), 64).Masked().String()
}
