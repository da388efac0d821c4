package pvetest

import "time"

// A Guest says how the system inside a VM behaves. The zero Guest boots in ten
// seconds, answers to its agent if one is configured, and shuts down in five
// seconds when asked. Times are in nanoseconds in JSON.
type Guest struct {
	// Boot is the time from power-on until the agent answers; 0 is ten seconds.
	Boot time.Duration `json:"boot,omitempty"`
	// Shutdown is the time from a request until the VM is off; 0 is five seconds.
	Shutdown time.Duration `json:"shutdown,omitempty"`
	// NoAgent is set for a guest in which no agent runs.
	NoAgent bool `json:"noAgent,omitempty"`
	// IgnoreACPI is set for a guest that ignores the power button.
	IgnoreACPI bool `json:"ignoreACPI,omitempty"`
	// Refuse is set for a guest whose agent answers a shutdown with an error.
	Refuse bool `json:"refuse,omitempty"`
	// Hang is set for a guest that starts to shut down and never ends.
	Hang bool `json:"hang,omitempty"`
	// Panic is set for a guest that powers off as soon as it has booted.
	Panic bool `json:"panic,omitempty"`
	// Lacks holds the requests that the agent does not know, such as
	// "guest-get-osinfo" for macOS's own agent.
	Lacks []string `json:"lacks,omitempty"`
	// OS is the answer to guest-get-osinfo; nil means a Linux.
	OS map[string]string `json:"os,omitempty"`
	// Addresses holds the guest's IP addresses with prefix length. If it is
	// empty, a guest with net0 has the address of ipconfig0, or a generated
	// address in the network 192.168.1.0/24.
	Addresses []string `json:"addresses,omitempty"`
	// NoAddress is set for a guest that never gets an address.
	NoAddress bool `json:"noAddress,omitempty"`
	// Files are the files in the guest, by path.
	Files map[string][]byte `json:"files,omitempty"`
	// Exec runs a command in the guest. If it is nil, the guest knows the
	// commands "true", "false" and "cat" with the path of one of Files. Exec
	// must not call the node.
	Exec func(argv []string, input []byte) Result `json:"-"`
}

// A Result is the result of a command in a guest.
type Result struct {
	Code int
	// Signal is the signal that ended the command in place of a Code, or 0.
	Signal int
	Stdout []byte
	Stderr []byte
	// After is how long the command runs.
	After time.Duration
}
