package proxstation

import "time"

// A GuestCommand is a program to run inside a guest, over the guest agent, SSH
// or another way into the guest.
type GuestCommand struct {
	// Argv holds the program and its arguments. No shell evaluates them.
	Argv []string
	// Input is the program's standard input. It is never shown, so it can carry
	// secrets. The way into the guest limits its size.
	Input string
	// Timeout limits the wait for the program's end. 0 means five minutes.
	// After that time, some ways into the guest end the program. The guest
	// agent cannot end a program.
	Timeout time.Duration
}

// A GuestOutput is the result of a [GuestCommand] that has ended.
type GuestOutput struct {
	// Code is the exit code.
	Code int
	// Signal is the number of the signal that ended the program. On Windows it
	// is the number of the exception. It is 0 if the program ended by itself.
	Signal int
	// Stdout and Stderr hold the output of the program.
	Stdout, Stderr string
	// Truncated says that the way into the guest dropped the end of the output.
	Truncated bool
}
