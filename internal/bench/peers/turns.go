package main

import (
	"errors"
	"fmt"
	"runtime"
	"syscall"
	"time"
)

// A contender is one way to do the work of a comparison.
type contender struct {
	name string
	do   func() error
}

// A comparison is a piece of work that both the library and its peers do.
type comparison struct {
	work, goal string
	ours       func() error
	peers      []contender
	rounds     int
	// waits is set for work that waits for a node. For such work, the elapsed
	// time is measured. For other work, the processor time of this process and
	// its children is measured, because it hardly depends on other load of the
	// machine.
	waits bool
}

// The method "now" returns the elapsed time if waits is set. Otherwise it
// returns the processor time.
func (c comparison) now() (time.Duration, error) {
	if c.waits {
		return time.Since(start), nil
	}
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var used syscall.Rusage
		if err := syscall.Getrusage(who, &used); err != nil {
			return 0, err
		}
		sum += time.Duration(used.Utime.Nano() + used.Stime.Nano())
	}
	return sum, nil
}

var start = time.Now()

// print measures all contenders in turns and prints a line for each peer. Every
// contender works once in each round, and each round begins with another
// contender. A contender's fastest round is its result, because other load of
// the machine can only add time.
func (c comparison) print() error {
	all := append([]contender{{"", c.ours}}, c.peers...)
	fastest := make([]time.Duration, len(all))
	for round := range c.rounds {
		for i := range all {
			at := (i + round) % len(all)
			runtime.GC() // the time must not include collecting the previous contender's garbage
			began, err := c.now()
			if err == nil {
				err = all[at].do()
			}
			ended, clockErr := c.now()
			if err := errors.Join(err, clockErr); err != nil {
				return fmt.Errorf("%s, %s: %w", c.work, all[at].name, err)
			}
			if took := ended - began; round == 0 || took < fastest[at] {
				fastest[at] = took
			}
		}
	}
	if len(c.peers) == 0 {
		fmt.Printf("| %s | %s | | | | %s |\n", c.work, short(fastest[0]), c.goal)
	}
	for i, peer := range c.peers {
		its := fastest[i+1]
		fmt.Printf("| %s | %s | %s | %s | %.2f | %s |\n", c.work, short(fastest[0]), peer.name, short(its), fastest[0].Seconds()/its.Seconds(), c.goal)
		c.goal = "" // only the first peer's line has the goal
	}
	return nil
}

// short returns a time with three significant digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}
