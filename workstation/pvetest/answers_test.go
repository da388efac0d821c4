package pvetest_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// answersOfPVE is the directory with requests and the answers of PVE's own
// code. It is beside the checkout. The files are not part of the project, but
// CI has them.
const answersOfPVE = "../../../shared/pve/answers"

// differences is the file that lists the answers that differ from PVE's, with a
// reason for each.
const differences = "testdata/differences.tsv"

var (
	updateDifferences = flag.Bool("update-differences", false, "write "+differences+", reasons kept")
	showDifferences   = flag.Bool("show-differences", false, "print every answer that differs, and texts that do")
)

// agreement is the share of answers that must agree with PVE's in status,
// parameters of errors and success of the task.
const agreement = 0.995

// An exchange is one line of a file: a request with PVE's answer.
type exchange struct {
	Case, Login, Method, Path string
	Params                    [][2]string
	Setup, Artefact           bool // an answer with either flag is not compared; Artefact marks an answer of the test rig instead of PVE
	Status                    int
	Reason                    string
	Errors                    map[string]string
	Exit                      *string
	Data                      any
	Shape                     string

	where string // "seq:12"
}

// A difference describes how an answer differs from PVE's.
type difference struct {
	where, what string
	decides     bool // whether the status, the errors or the exit status differ
	about       string
}

// TestAnswersOfPVE sends requests that PVE's own code has answered, and
// compares the node's answers with PVE's: status, parameters of errors, success
// of tasks, messages, and keys and types of data.
func TestAnswersOfPVE(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(answersOfPVE + "/*.jsonl")
	if err != nil || len(files) == 0 {
		if os.Getenv("CI") != "" {
			t.Fatalf("CI must have PVE's answers: %v", err)
		}
		t.Skip("PVE's answers are not beside this checkout")
	}
	var (
		mu       sync.Mutex
		all      []difference
		compared int
		unserved = map[string]int{}
	)
	t.Run("files", func(t *testing.T) {
		for _, file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				exchanges := readExchanges(t, file)
				synctestNode(t, answering(t), func(l *lab) {
					found, n, not := replay(l, exchanges)
					mu.Lock()
					defer mu.Unlock()
					all, compared = append(all, found...), compared+n
					maps.Copy(unserved, not)
				})
			})
		}
	})
	t.Logf("%d methods are not served: %s", len(unserved), strings.Join(slices.Sorted(maps.Keys(unserved)), ", "))
	judge(t, all, compared)
}

func readExchanges(t *testing.T, file string) (list []exchange) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
	for lines.Scan() {
		e := exchange{where: fmt.Sprintf("%s:%d", name, len(list)+1)}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// The function "answering" returns the host on which PVE gave the answers.
func answering(t *testing.T) pvetest.Host {
	t.Helper()
	host := machines()
	host.Version, host.Release = "9.2.11", "9.2"
	data, err := os.ReadFile(answersOfPVE + "/users.json")
	if err == nil {
		err = json.Unmarshal(data, &host.Users)
	}
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// The function "replay" sends all requests to a node, in order. If the node
// does not serve a method, the requests for the method are only counted.
func replay(l *lab, exchanges []exchange) (found []difference, compared int, unserved map[string]int) {
	unserved, spoiled := map[string]int{}, map[string]bool{}
	logins := map[string]func(*http.Request){"token": l.login}
	l.asRoot()
	logins["root"] = l.login
	for _, e := range exchanges {
		if logins[e.Login] == nil {
			logins[e.Login] = withToken(e.Login + "!tk=aaaaaaaa-0000-0000-0000-000000000000")
		}
		l.login = logins[e.Login]
		var params []string
		for _, p := range e.Params {
			params = append(params, p[0], p[1])
		}
		path := e.Path
		if unescaped, err := url.PathUnescape(path); err == nil {
			path = strings.ReplaceAll((&url.URL{Path: unescaped}).EscapedPath(), "+", "%2B")
		}
		got := l.do(e.Method, path, params...)
		exit := ""
		if upid, isText := got.data.(string); isText && strings.HasPrefix(upid, "UPID:") && e.Exit != nil {
			l.login = logins["token"]
			exit = l.wait(upid)
		}
		if e.Artefact {
			continue
		}
		if got.status == http.StatusNotImplemented && e.Status != http.StatusNotImplemented || e.standsOn(spoiled) {
			unserved[e.Method+" "+e.Path]++
			e.spoil(spoiled)
			continue
		}
		compared++
		found = append(found, compare(e, got, exit)...)
	}
	return found, compared, unserved
}

// The method "spoil" records the VM, pool or storage that an unserved request
// would have made or changed.
func (e exchange) spoil(spoiled map[string]bool) {
	if e.Method == http.MethodGet {
		return
	}
	for _, p := range e.Params {
		switch p[0] {
		case "newid", "poolid", "vmid", "storage":
			spoiled[p[1]] = true
		}
	}
	if id := vmInPath.FindStringSubmatch(e.Path); id != nil && !strings.HasSuffix(e.Path, "/clone") {
		spoiled[id[1]] = true
	}
}

var vmInPath = regexp.MustCompile(`/qemu/(\d+)/template`)

// standsOn reports whether a request uses an object in the set "spoiled". Such
// an object may no longer be in the state that it had when PVE answered the
// request.
func (e exchange) standsOn(spoiled map[string]bool) bool {
	for _, part := range strings.Split(e.Path, "/") {
		if spoiled[part] {
			return true
		}
	}
	for _, p := range e.Params {
		if spoiled[p[1]] && (p[0] == "pool" || p[0] == "newid") {
			return true
		}
	}
	return false
}

// The function "compare" returns the differences between an answer and PVE's
// answer.
func compare(e exchange, got result, exit string) (found []difference) {
	add := func(decides bool, format string, args ...any) {
		found = append(found, difference{e.where, fmt.Sprintf(format, args...), decides,
			fmt.Sprintf("%s | %s %s %v", e.Case, e.Method, e.Path, e.Params)})
	}
	wantErrors, haveErrors := slices.Sorted(maps.Keys(e.Errors)), slices.Sorted(maps.Keys(got.errors))
	succeeded := func(exit string) bool { return exit == "OK" || strings.HasPrefix(exit, "WARNINGS") }
	wantExit := ""
	if e.Exit != nil {
		wantExit = *e.Exit
	}
	switch {
	case got.status != e.Status:
		add(true, "status %d %q %v, PVE's %d %q %v", got.status, got.reason, got.errors, e.Status, e.Reason, e.Errors)
	case !slices.Equal(wantErrors, haveErrors):
		add(true, "errors %v, PVE's %v", got.errors, e.Errors)
	case e.Exit != nil && succeeded(wantExit) != succeeded(exit):
		add(true, "exit %q, PVE's %q", exit, wantExit)
	case e.Status == http.StatusOK && e.Shape != "" && shape(got.data) != e.Shape:
		add(false, "shape\n  %s, PVE's\n  %s", shape(got.data), e.Shape)
	case e.Status == http.StatusOK && e.Data != nil:
		if problem := compareData(e, got.data); problem != "" {
			add(false, "data: %s", problem)
		}
	}
	if len(found) > 0 {
		return found
	}
	for _, name := range wantErrors {
		if have := lines(fmt.Sprint(got.errors[name])); have != lines(e.Errors[name]) {
			add(false, "%s: %q, PVE's %q", name, got.errors[name], e.Errors[name])
		}
	}
	if e.Status != http.StatusOK && lines(got.reason) != lines(e.Reason) {
		add(false, "%q, PVE's %q", got.reason, e.Reason)
	}
	if e.Exit != nil && lines(exit) != lines(wantExit) {
		add(false, "exit %q, PVE's %q", exit, wantExit)
	}
	return found
}

// The function "lines" returns a message with sorted lines, because PVE lists
// several problems in the random order of a hash.
func lines(message string) string {
	each := strings.Split(strings.TrimSpace(message), "\n")
	slices.Sort(each)
	return strings.Join(each, "\n")
}

// The function "shape" returns the keys and types of data as a text, such as
// {a:str b:num}. For a list it returns each shape that occurs in the list.
func shape(data any) string {
	switch v := data.(type) {
	case nil:
		return "null"
	case string:
		return "str"
	case float64:
		return "num"
	case bool:
		return "bool"
	case []any:
		var each []string
		for _, element := range v {
			each = append(each, shape(element))
		}
		slices.Sort(each)
		return "[" + strings.Join(slices.Compact(each), " | ") + "]"
	case map[string]any:
		var fields []string
		for _, key := range slices.Sorted(maps.Keys(v)) {
			fields = append(fields, key+":"+shape(v[key]))
		}
		return "{" + strings.Join(fields, " ") + "}"
	}
	return "?"
}

// compareData compares an answer's data with PVE's. If the field Case of the
// exchange is "KEY=VALUE" and the answer is a configuration, it compares the
// value of KEY. Otherwise it compares the types of all keys that both answers
// have.
func compareData(e exchange, data any) string {
	want, isObject := e.Data.(map[string]any)
	have, _ := data.(map[string]any)
	key, _, named := strings.Cut(e.Case, "=")
	if isObject && named && strings.HasSuffix(e.Path, "/config") && key != "digest" {
		if w, h := fmt.Sprint(want[key]), fmt.Sprint(have[key]); plain(w) != plain(h) || shape(want[key]) != shape(have[key]) {
			return fmt.Sprintf("%s is %q %s, PVE's %q %s", key, h, shape(have[key]), w, shape(want[key]))
		}
		return ""
	}
	if isObject {
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if h, there := have[key]; there && shape(h) != shape(want[key]) && !strings.Contains(shape(h), "[") {
				return fmt.Sprintf("%s is %s, PVE's %s", key, shape(h), shape(want[key]))
			}
		}
		return ""
	}
	if list, isList := data.([]any); isList != (shape(e.Data)[0] == '[') {
		return fmt.Sprintf("%s, PVE's %s", shape(list), shape(e.Data))
	}
	return ""
}

// The function "judge" fails the test for every difference that is not in the
// list of known differences. It also prints the figures.
func judge(t *testing.T, all []difference, compared int) {
	t.Helper()
	known := readDifferences(t)
	seen, deciding := map[string]string{}, 0
	slices.SortFunc(all, func(a, b difference) int { return cmp.Or(cmp.Compare(a.where, b.where)) })
	for _, d := range all {
		if *showDifferences {
			t.Logf("%s: %s\n  %s", d.where, d.about, d.what)
		}
		seen[d.where] = d.what
		if d.decides {
			deciding++
		}
		if known[d.where] == "" && !*updateDifferences {
			t.Errorf("%s: %s\n  %s", d.where, d.about, d.what)
		}
	}
	if *updateDifferences {
		writeDifferences(t, known, seen)
		return
	}
	for where := range known {
		if seen[where] == "" {
			t.Errorf("%s agrees with PVE, but %s lists it", where, differences)
		}
	}
	agreed := 1 - float64(deciding)/float64(compared)
	t.Logf("%d answers of PVE: %d differ in status, errors or exit (%.2f %% agree), %d in messages, keys and types of data",
		compared, deciding, 100*agreed, len(seen)-deciding)
	if agreed < agreement {
		t.Errorf("%.2f %% agree, want %.1f %%", 100*agreed, 100*agreement)
	}
}

// readDifferences reads the list of known differences. It returns the reason
// for each difference. The key is the place of the exchange, such as "seq:12".
func readDifferences(t *testing.T) map[string]string {
	t.Helper()
	data, err := os.ReadFile(differences)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	known := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if where, why, found := strings.Cut(strings.TrimSpace(line), "\t"); found && line[0] != '#' {
			known[where] = why
		}
	}
	for where, why := range known {
		if why == "?" && !*updateDifferences {
			t.Errorf("%s has no reason in %s", where, differences)
		}
	}
	return known
}

func writeDifferences(t *testing.T, known, seen map[string]string) {
	t.Helper()
	text := "# Answers that differ from those of PVE, with the reason. Written by answers_test.go with -update-differences;\n# a reason that is only ? is still to be found.\n"
	for _, where := range slices.SortedFunc(maps.Keys(seen), byPlace) {
		text += where + "\t" + cmp.Or(known[where], "?") + "\n"
	}
	if err := os.WriteFile(differences, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func byPlace(a, b string) int {
	fileA, lineA, _ := strings.Cut(a, ":")
	fileB, lineB, _ := strings.Cut(b, ":")
	return cmp.Or(cmp.Compare(fileA, fileB), cmp.Compare(len(lineA), len(lineB)), cmp.Compare(lineA, lineB))
}

var (
	macAddress = regexp.MustCompile(`(?i)[0-9a-f]{2}(:[0-9a-f]{2}){5}`)
	versions   = regexp.MustCompile(`10\.\d+(\.\d+)?`)
	uuidText   = regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`)
)

// The function "plain" replaces the parts of a value that differ in each run.
// The same replacements were made in the stored answers.
func plain(value string) string {
	return versions.ReplaceAllString(uuidText.ReplaceAllString(macAddress.ReplaceAllString(value, "MAC"), "UUID"), "10.V")
}
