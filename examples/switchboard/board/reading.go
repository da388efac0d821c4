package board

import (
	"context"
	"sync"
	"time"
)

const (
	// slow is how long the node may take to answer before the page says so.
	slow = 4 * time.Second
	// patience is how long an answer is waited for.
	patience = 30 * time.Second
)

// A reading is one question to the node, asked once for all who want to know.
type reading[T any] struct {
	ctx     context.Context
	ask     func(ctx context.Context) (T, error)
	every   time.Duration // an answer is young for so long
	changed func()

	mu   sync.Mutex
	last seen[T]
	old  bool          // whether last is old, however young it is
	done chan struct{} // closed when the answer under way is there; nil if none is
}

// A seen is an answer and its age.
type seen[T any] struct {
	value T
	at    time.Time // when value was read; zero before the first answer
	err   error     // of the last read; nil if it was answered
	since time.Time // when the first of the reads began that failed since then
	asked time.Time // when the read under way began; zero if none is
}

func (r *reading[T]) read() seen[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// fresh returns when the answer is young, or when ctx ends. A read that it
// begins goes on for others.
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
		again = r.old // it was expired while it was read
		r.mu.Unlock()
	}
}

// once reads, and hands the answer to all who wait.
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

// keep reads again and again until ctx ends.
func (r *reading[T]) keep(ctx context.Context) {
	for ctx.Err() == nil {
		r.fresh(ctx)
		select {
		case <-time.After(r.every):
		case <-ctx.Done():
		}
	}
}

// expire makes the next who asks read again.
func (r *reading[T]) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.old = true
}

// wait waits until nothing is being read.
func (r *reading[T]) wait() {
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	if done != nil {
		<-done
	}
}
