package main

import (
	"fmt"
	"slices"
	"time"
)

// A contender is one way to do some work.
type contender struct {
	name string
	do   func() error
}

// A comparison is work that the library does, beside others that do it.
type comparison struct {
	work, goal string
	ours       func() error
	peers      []contender
	rounds     int
}

// print measures all contenders in turns and prints a line for each peer. In
// each round everybody works once, and first a different one each time, so that
// what else the machine does meanwhile is shared. Times are medians; a ratio is
// the median of the rounds' ratios.
func (c comparison) print() error {
	all := append([]contender{{"", c.ours}}, c.peers...)
	times := make([][]time.Duration, len(all))
	for round := range c.rounds {
		for i := range all {
			at := (i + round) % len(all)
			began := time.Now()
			if err := all[at].do(); err != nil {
				return fmt.Errorf("%s, %s: %w", c.work, all[at].name, err)
			}
			times[at] = append(times[at], time.Since(began))
		}
	}
	if len(c.peers) == 0 {
		fmt.Printf("| %s | %s | | | | %s |\n", c.work, short(median(times[0])), c.goal)
	}
	for i, peer := range c.peers {
		var ratios []float64
		for round, ours := range times[0] {
			ratios = append(ratios, ours.Seconds()/times[i+1][round].Seconds())
		}
		fmt.Printf("| %s | %s | %s | %s | %.2f | %s |\n", c.work, short(median(times[0])), peer.name, short(median(times[i+1])), median(ratios), c.goal)
		c.goal = "" // it is about the first peer
	}
	return nil
}

func median[N float64 | time.Duration](numbers []N) N {
	sorted := slices.Sorted(slices.Values(numbers))
	return sorted[len(sorted)/2]
}

// short returns a time with three digits.
func short(d time.Duration) string {
	switch {
	case d >= time.Second:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d >= 100*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}
