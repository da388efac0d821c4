package pvetest

import (
	"cmp"
	"container/heap"
	"time"
)

// A timeline holds the time of a cluster and the events to come. All nodes
// share it, so that events happen in the same order on all nodes.
type timeline struct {
	clock    func() time.Time
	speed    float64
	began    time.Time // real time when the nodes were made
	now      time.Time // present time of the nodes
	due      events
	sequence int
}

// The method "advance" runs all events that became due since the last request.
func (t *timeline) advance() {
	t.advanceTo(t.began.Add(time.Duration(float64(t.clock().Sub(t.began)) * t.speed)))
}

// The method "real" converts a duration of the nodes' time to real time.
func (t *timeline) real(d time.Duration) time.Duration { return time.Duration(float64(d) / t.speed) }

// An event is an action at a later time.
type event struct {
	at       time.Time
	sequence int
	happen   func()
}

// events is a heap whose first element is the next event.
type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return cmp.Or(e[i].at.Compare(e[j].at), cmp.Compare(e[i].sequence, e[j].sequence)) < 0
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := len(*e) - 1
	next := (*e)[last]
	*e = (*e)[:last]
	return next
}

// The method "schedule" plans an event that happens after the duration d.
func (t *timeline) schedule(d time.Duration, happen func()) {
	t.sequence++
	heap.Push(&t.due, event{t.now.Add(d), t.sequence, happen})
}

// advanceTo runs all events that are due until a time. Before each event, it
// sets the nodes' time to the time at which the event is due.
func (t *timeline) advanceTo(until time.Time) {
	for len(t.due) > 0 && !t.due[0].at.After(until) {
		next, _ := heap.Pop(&t.due).(event)
		t.now = next.at
		next.happen()
	}
	if until.After(t.now) { // the clock may have been set back
		t.now = until
	}
}

func newTimeline(opts *Options) timeline {
	t := timeline{clock: opts.Now, speed: cmp.Or(opts.Speed, 1)}
	if t.clock == nil {
		t.clock = time.Now
	}
	t.began = t.clock()
	t.now = t.began
	return t
}
