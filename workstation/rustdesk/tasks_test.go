package rustdesk

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestTasks(t *testing.T) {
	t.Parallel()
	all := MacOSTasks()
	for _, os := range []OS{Windows, Linux, MacOS} {
		tasks := DisplayTasks(os)
		if len(tasks) == 0 || slices.IndexFunc(tasks, func(t Task) bool { return !t.Required }) < 0 {
			t.Errorf("%s: no way to a picture", os)
		}
		if !slices.IsSortedFunc(tasks, func(a, b Task) int { return cmp.Compare(order(a), order(b)) }) {
			t.Errorf("%s: what is required does not come first", os)
		}
		all = append(all, tasks...)
	}
	if DisplayTasks("plan9") != nil {
		t.Error("plan9 has a way")
	}
	for _, task := range all {
		if !strings.Contains(task.ID, ".") || task.Title == "" || task.Why == "" || len(task.Do) == 0 {
			t.Errorf("%+v: something is missing", task)
		}
		if len(task.Verify) > 0 != (task.Expect != "") {
			t.Errorf("%s: Verify and Expect belong together", task.ID)
		}
		if task.Done("") || task.Done("0 rows") || task.Done(task.Expect+"\n") != (len(task.Verify) > 0) {
			t.Errorf("%s: Done", task.ID)
		}
	}
}

func order(t Task) int {
	if t.Required {
		return 0
	}
	return 1
}

func TestParseReport(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ output, stage, text string }{
		"killed":       {"rustdesk: version 1.4.9\n", "report", "done"},
		"nothing":      {"", "report", "done"},
		"no id":        {"rustdesk: version 1.4.9\nrustdesk: done\n", "report", "no id"},
		"bad id":       {"rustdesk: id !!\nrustdesk: done\n", "report", "id"},
		"bad version":  {"rustdesk: version x\nrustdesk: done\n", "report", "version"},
		"tool failed":  {"rustdesk: log E: held\r\nrustdesk: error package apt-get failed\r\n", "package", "apt-get failed: E: held"},
		"error first":  {"rustdesk: error id none\nrustdesk: version 1.4.9\nrustdesk: id 123456789\nrustdesk: done\n", "id", "none"},
		"another line": {"bash: rustdesk: id 123456789\n rustdesk: done\n", "report", "done"},
	} {
		_, err := ParseReport(test.output)
		var setupErr *SetupError
		if !errors.As(err, &setupErr) || setupErr.Stage != test.stage || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want stage %s with %q", name, err, test.stage, test.text)
		}
	}
}

func TestVersionHas(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		version string
		feature Feature
		want    bool
	}{
		{"1.2.1", SetsOptions, false}, {"1.2.2", SetsOptions, true}, {"2.0.0", SetsOptions, true},
		{"1.4.1", KeepsSecrets, false}, {"1.4.2", KeepsSecrets, true}, {"1.10.0", KeepsSecrets, true},
		{"1.4.6", AcknowledgesPassword, false}, {"1.4.7+58", AcknowledgesPassword, true},
		{"1.4.9", 0, false}, {"1.4.9", 99, false},
	} {
		v, err := ParseVersion(test.version)
		if err != nil || v.Has(test.feature) != test.want {
			t.Errorf("%s has %d: %t, %v", test.version, test.feature, v.Has(test.feature), err)
		}
	}
	for _, text := range []string{"", "1.4", "1.4.9.1", "1.4.x", "v1.4.9", "1.4.99999"} {
		if v, err := ParseVersion(text); !errors.Is(err, ErrVersion) {
			t.Errorf("%q: %v, %v", text, v, err)
		}
	}
}
