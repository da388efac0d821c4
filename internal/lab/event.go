package lab

import (
	"bufio"
	"encoding/json"
	"io"
)

// A Command is a program that runs inside a machine.
type Command struct {
	Name string   `json:"name"` // unique in a boot; the program's path inside is /bin/Name
	Path string   `json:"-"`    // a static binary on this machine
	Args []string `json:"args"`
	Env  []string `json:"env"` // variables in addition to PATH, HOME and TMPDIR
}

// A Plan is the list of tasks for init. Init reads it from the file /plan.json
// in the initramfs.
type Plan struct {
	Modules  []string  `json:"modules"`  // files in /modules, in the order in which they are loaded
	Disks    int       `json:"disks"`    // the number of disks to wait for
	Commands []Command `json:"commands"` // the commands run one after the other
}

// An Action says what an [Event] reports.
type Action string

// The actions. A successful boot has Begin, Output and End for each command,
// and then Done.
const (
	Begin  Action = "begin"
	Output Action = "output"
	End    Action = "end"
	Failed Action = "failed" // init cannot continue
	Done   Action = "done"
)

// An Event is a line that init writes to the second serial port, in JSON.
type Event struct {
	Action  Action `json:"action"`
	Command string `json:"command,omitempty"`
	Output  []byte `json:"output,omitempty"` // set for Output and Failed
	Exit    int    `json:"exit,omitempty"`   // set for End: the exit status, or -1
	Tainted string `json:"tainted,omitempty"`
}

// readEvents calls the function "f" for each event. It skips other lines, such as
// an unfinished line.
func readEvents(r io.Reader, f func(Event)) error {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		var e Event
		if err == nil && json.Unmarshal(line, &e) == nil && e.Action != "" {
			f(e)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
