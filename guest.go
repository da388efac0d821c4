package proxstation

import "time"

// A GuestCommand is a program to run inside a guest, over the guest agent, SSH
// or another way in.
type GuestCommand struct {
	// Argv is the program and its arguments; no shell comes between.
	Argv []string
	// Input is the program's standard input. It is never shown, so that it can
	// carry secrets. The way in limits its size.
	Input string
	// Timeout bounds the wait for the program's end; 0 means five minutes.
	// Whether the program is ended then depends on the way in: the guest agent
	// cannot end a program.
	Timeout time.Duration
}

// A GuestOutput is what a [GuestCommand] left when it ended.
type GuestOutput struct {
	// Code is the exit code.
	Code int
	// Signal is the number of the signal that ended the program, on Windows
	// that of the exception; 0 means that the program ended by itself.
	Signal int
	// Stdout and Stderr are what the program printed.
	Stdout, Stderr string
	// Truncated says that the way in dropped the end of what was printed.
	Truncated bool
}
