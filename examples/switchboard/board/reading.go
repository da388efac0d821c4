package board

import (
	"context"
	"sync"
	"time"
)

const (
	// slow is the time after which the page reports that the node does not
	// answer.
	slow = 4 * time.Second
	// patience is the longest time for which the board waits for an answer.
	patience = 30 * time.Second
)

// A reading is a question that the board asks the node, and its last answer.
// The node is asked only once for all goroutines that wait for the answer.
type reading[T any] struct {
	ctx     context.Context
	ask     func(ctx context.Context) (T, error)
	every   time.Duration // how long an answer counts as new
	changed func()

	mu   sync.Mutex
	last seen[T]
	old  bool          // whether the last answer counts as old even if it is recent
	done chan struct{} // closed when the read under way ends; nil if no read is under way
}

// A seen is the last answer with its time. It also holds the error of a later
// read that failed.
type seen[T any] struct {
	value T
	at    time.Time // when value was read; zero before the first answer
	err   error     // error of the last read; nil if the read succeeded
	since time.Time // start of the first failed read after the last answer
	asked time.Time // when the read under way began; zero if no read is under way
}

func (r *reading[T]) read() seen[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// fresh waits until the answer is new, or until ctx ends. If it starts a read,
// this read continues after the end of ctx, because other callers may wait for
// it.
func (r *reading[T]) fresh(ctx context.Context) {
	for again := true; again; {
		r.mu.Lock()
		if !r.old && r.last.err == nil && time.Since(r.last.at) < r.every {
			r.mu.Unlock()
			return
		}
		if r.done == nil {
			r.done, r.last.asked, r.old = make(chan struct{}), time.Now(), false
			go r.once(r.done)
		}
		done := r.done
		r.mu.Unlock()
		select {
		case <-done:
		case <-ctx.Done():
			return
		}
		r.mu.Lock()
		again = r.old // the answer expired during the read
		r.mu.Unlock()
	}
}

// The method "once" reads the node one time, and wakes every goroutine that
// waits for the answer.
func (r *reading[T]) once(done chan struct{}) {
	late := time.AfterFunc(slow, r.changed)
	defer late.Stop()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	value, err := r.ask(ctx)
	r.mu.Lock()
	switch now := time.Now(); {
	case err == nil:
		r.last = seen[T]{value: value, at: now}
	case r.last.err == nil:
		r.last.err, r.last.since = err, r.last.asked
	default:
		r.last.err = err
	}
	r.last.asked, r.done = time.Time{}, nil
	r.mu.Unlock()
	close(done)
	r.changed()
}

// keep reads the node repeatedly until ctx ends.
func (r *reading[T]) keep(ctx context.Context) {
	for ctx.Err() == nil {
		r.fresh(ctx)
		select {
		case <-time.After(r.every):
		case <-ctx.Done():
		}
	}
}

// expire makes the next call of fresh read the node again.
func (r *reading[T]) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old = true
}

// wait returns when no read is under way.
func (r *reading[T]) wait() {
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	if done != nil {
		<-done
	}
}
