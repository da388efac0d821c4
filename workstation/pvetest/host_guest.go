package pvetest

import "time"

// A Guest describes how the system inside a VM behaves. The zero Guest boots in
// ten seconds. It answers through its agent if the VM has an agent. It shuts
// down five seconds after a shutdown request. In JSON, times are in
// nanoseconds.
type Guest struct {
	// Boot is the time from power-on until the agent answers. 0 means ten
	// seconds.
	Boot time.Duration `json:"boot,omitempty"`
	// Shutdown is the time from a shutdown request until the VM is off. 0 means
	// five seconds.
	Shutdown time.Duration `json:"shutdown,omitempty"`
	// NoAgent is set for a guest without a running agent.
	NoAgent bool `json:"noAgent,omitempty"`
	// IgnoreACPI is set for a guest that ignores the power button.
	IgnoreACPI bool `json:"ignoreACPI,omitempty"`
	// The field Refuse is set for a guest whose agent refuses a shutdown with
	// an error.
	Refuse bool `json:"refuse,omitempty"`
	// The field Hang is set for a guest that begins to shut down but never
	// powers off.
	Hang bool `json:"hang,omitempty"`
	// The field Panic is set for a guest that powers off as soon as it has
	// booted.
	Panic bool `json:"panic,omitempty"`
	// The field Lacks holds the commands that the agent does not know, such as
	// "guest-get-osinfo" in the case of macOS's own agent.
	Lacks []string `json:"lacks,omitempty"`
	// OS is the answer to guest-get-osinfo. If it is nil, the guest is a Linux.
	OS map[string]string `json:"os,omitempty"`
	// Addresses holds the guest's IP addresses with prefix length. If it is
	// empty, a guest with net0 has the address in ipconfig0, or else a
	// generated address in the network 192.168.1.0/24.
	Addresses []string `json:"addresses,omitempty"`
	// NoAddress is set for a guest that never gets an address.
	NoAddress bool `json:"noAddress,omitempty"`
	// Files holds the files in the guest, by path.
	Files map[string][]byte `json:"files,omitempty"`
	// Exec runs a command in the guest. If it is nil, the guest knows the
	// commands "true", "false" and "cat", and "cat" can show a file of Files.
	// Exec must not call the node.
	Exec func(argv []string, input []byte) Result `json:"-"`
}

// A Result is the result of a command in a guest.
type Result struct {
	Code int
	// Signal is the signal that ended the command. If it is 0, the command
	// ended with Code.
	Signal int
	Stdout []byte
	Stderr []byte
	// The field After is the time that the command takes.
	After time.Duration
}
