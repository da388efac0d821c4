package recovery

import (
	"context"
	"errors"
	"io"
	"time"
)

// ErrStalled reports a connection that brought nothing for a minute.
var ErrStalled = errors.New("recovery: the connection stalled")

const stallAfter = time.Minute

// A watched body ends its request when no more data arrives.
type watched struct {
	io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer
}

// The function "watch" returns a context for a request, and the watched body of
// its answer. The context ends when nothing has been read from the body for
// stallAfter.
func watch(ctx context.Context) (context.Context, *watched) {
	ctx, cancel := context.WithCancelCause(ctx)
	return ctx, &watched{ctx: ctx, cancel: cancel,
		timer: time.AfterFunc(stallAfter, func() { cancel(ErrStalled) })}
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		return n, w.cause(err)
	}
	w.timer.Reset(stallAfter)
	return n, err
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	_ = w.end(nil)
	return err
}

// The method "end" stops the watch. It returns ErrStalled if the watch ended
// the request, and otherwise err.
func (w *watched) end(err error) error {
	w.timer.Stop()
	err = w.cause(err)
	w.cancel(nil)
	return err
}

func (w *watched) cause(err error) error {
	if errors.Is(context.Cause(w.ctx), ErrStalled) {
		return ErrStalled
	}
	return err
}
