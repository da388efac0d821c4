package iommu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The function "snapshot" returns every file below dir with its content and
// mode, and every directory.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(dir, path)
		files[name] = "directory"
		if entry.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			info, err := entry.Info()
			files[name] = fmt.Sprintf("%v %q", info.Mode(), data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The function "compare" returns a difference between two snapshots, and "" if
// they are equal.
func compare(got, want map[string]string) string {
	for name, text := range got {
		if want[name] != text {
			return fmt.Sprintf("%s is %s, want %q", name, text, want[name])
		}
	}
	for name := range want {
		if got[name] == "" {
			return name + " is gone"
		}
	}
	return ""
}

// The function "host" makes a root directory with a file. The file has bytes
// that are not text, an unusual mode and no newline at its end.
func host(t *testing.T) (string, *os.Root) {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"etc/kernel", "etc/modprobe.d", "var/lib"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, cmdlineFile)
	if err := os.WriteFile(file, []byte("root=\xff\x00 quiet"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil { // so that the mode does not depend on the umask
		t.Fatal(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return dir, root
}

func text(s string) *string { return &s }

// threeFiles returns a plan that creates a file, creates a second file in a new
// directory, and edits a third file.
func threeFiles() HostPlan {
	return HostPlan{
		Changes: []FileChange{
			{Path: modprobeFile, After: text("options vfio-pci ids=1:2\n")},
			{Path: grubFile, After: text("A=b\n")},
			{Path: cmdlineFile, Before: text("root=\xff\x00 quiet"), After: text("root=\xff\x00 quiet iommu=pt")},
		},
		Commands: [][]string{{"update-initramfs", "-u", "-k", "all"}, {"update-grub"}},
	}
}

// recorder is a Runner that records the commands, and that fails if a test asks
// for it.
type recorder struct {
	ran  []string
	fail error
}

func (r *recorder) run(_ context.Context, command []string) error {
	r.ran = append(r.ran, strings.Join(command, " "))
	return r.fail
}

func TestApplyTwiceAndUndo(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	before := snapshot(t, dir)
	var r recorder
	if err := threeFiles().Apply(t.Context(), root, r.run); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.ran, []string{"update-initramfs -u -k all", "update-grub"}) {
		t.Errorf("ran %q", r.ran)
	}
	after := snapshot(t, dir)
	if after[cmdlineFile] != `-rw-r----- "root=\xff\x00 quiet iommu=pt"` || after[modprobeFile] != `-rw-r--r-- "options vfio-pci ids=1:2\n"` {
		t.Errorf("%v", after)
	}
	r.ran = nil
	if err := threeFiles().Apply(t.Context(), root, r.run); err != nil || len(r.ran) > 0 {
		t.Errorf("applied twice: %v, ran %q", err, r.ran)
	}
	if diff := compare(snapshot(t, dir), after); diff != "" {
		t.Errorf("applied twice: %s", diff)
	}
	if err := Undo(t.Context(), root, r.run); err != nil || len(r.ran) != 2 {
		t.Errorf("undo: %v, ran %q", err, r.ran)
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Errorf("undone: %s", diff)
	}
	if err := Undo(t.Context(), root, r.run); !errors.Is(err, ErrNothingToUndo) {
		t.Errorf("undone twice: %v", err)
	}
}

func TestAFailedCommandIsRunAgain(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	before := snapshot(t, dir)
	r := recorder{fail: errors.New("no space left")}
	err := threeFiles().Apply(t.Context(), root, r.run)
	if !errors.Is(err, r.fail) || !strings.Contains(err.Error(), "iommu: apply: update-initramfs -u -k all: no space left") {
		t.Errorf("got %v", err)
	}
	// The commands failed before. A new plan finds all files changed already,
	// so it is empty. The commands must still run.
	r = recorder{}
	if err := (HostPlan{}).Apply(t.Context(), root, r.run); err != nil || len(r.ran) != 2 {
		t.Errorf("again: %v, ran %q", err, r.ran)
	}
	r = recorder{}
	if err := (HostPlan{}).Apply(t.Context(), root, r.run); err != nil || len(r.ran) != 0 {
		t.Errorf("a third time: %v, ran %q", err, r.ran)
	}
	if err := Undo(t.Context(), root, nil); err != nil {
		t.Error(err)
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Error(diff)
	}
}

func TestForeignEditsAreNotOverwritten(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	file := filepath.Join(dir, cmdlineFile)
	edit := func(content string) map[string]string {
		if err := os.WriteFile(file, []byte(content), 0o640); err != nil {
			t.Fatal(err)
		}
		return snapshot(t, dir)
	}
	edited := edit("edited before")
	if err := threeFiles().Apply(t.Context(), root, nil); !errors.Is(err, ErrStale) {
		t.Errorf("apply: %v", err)
	}
	if diff := compare(snapshot(t, dir), edited); diff != "" {
		t.Errorf("apply: %s", diff)
	}
	edit("root=\xff\x00 quiet")
	if err := threeFiles().Apply(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	edited = edit("edited after")
	if err := Undo(t.Context(), root, nil); !errors.Is(err, ErrForeignEdit) || !strings.Contains(err.Error(), "/etc/kernel/cmdline") {
		t.Errorf("undo: %v", err)
	}
	if diff := compare(snapshot(t, dir), edited); diff != "" {
		t.Errorf("undo: %s", diff)
	}
}

func TestPlansAreUndoneOneByOne(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	states := []map[string]string{snapshot(t, dir)}
	for i, before := range []*string{nil, text("0"), text("1")} {
		plan := HostPlan{Changes: []FileChange{{Path: modulesFile, Before: before, After: text(fmt.Sprint(i))}}}
		if err := plan.Apply(t.Context(), root, nil); err != nil {
			t.Fatal(err)
		}
		states = append(states, snapshot(t, dir))
	}
	for _, want := range slices.Backward(states[:3]) {
		if err := Undo(t.Context(), root, nil); err != nil {
			t.Fatal(err)
		}
		got := snapshot(t, dir)
		if got[modulesFile] != want[modulesFile] {
			t.Errorf("%s, want %s", got[modulesFile], want[modulesFile])
		}
	}
	if diff := compare(snapshot(t, dir), states[0]); diff != "" {
		t.Error(diff)
	}
}

// If a file cannot be replaced, the error names the file and a remedy, and
// nothing is changed.
func TestFilesThatCannotBeReplaced(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"a link": {func(dir string) error { return os.Symlink("elsewhere", filepath.Join(dir, modprobeFile)) },
			"/etc/modprobe.d/00-proxstation.conf cannot be replaced without a loss: it is a symbolic link to /etc/modprobe.d/elsewhere. " +
				"To have the file itself there: cp -p --remove-destination /etc/modprobe.d/elsewhere /etc/modprobe.d/00-proxstation.conf"},
		"a directory": {func(dir string) error { return os.Mkdir(filepath.Join(dir, modprobeFile), 0o755) }, "it is not a regular file"},
		"a hard link": {func(dir string) error { return os.Link(filepath.Join(dir, cmdlineFile), filepath.Join(dir, "other")) },
			"it has 2 hard links (find / -xdev -samefile /etc/kernel/cmdline)"},
		"a directory that links out": {func(dir string) error { return os.Symlink("/elsewhere", filepath.Join(dir, "etc/default")) },
			"the directory /etc/default is a link to /elsewhere"},
		"a planted link": {func(dir string) error { return os.Symlink("../../victim", filepath.Join(dir, tempName(cmdlineFile))) },
			"/etc/kernel/.cmdline.proxstation is in the way and not ours: remove it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, root := host(t)
			if err := os.WriteFile(filepath.Join(dir, "victim"), []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			err := threeFiles().Apply(t.Context(), root, nil)
			if err == nil || !strings.Contains(err.Error(), test.want) || errors.Is(err, ErrIrreplaceable) == (name == "a planted link") {
				t.Errorf("got %v", err)
			}
			if diff := compare(snapshot(t, dir), before); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPlansStayBelowTheRoot(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"../outside", "/etc/passwd", "", ".", "etc/../../x"} {
		_, root := host(t)
		plan := HostPlan{Changes: []FileChange{{Path: path, After: text("x")}}}
		if err := plan.Apply(t.Context(), root, nil); err == nil {
			t.Errorf("%q was written", path)
		}
	}
}

// The next run removes the leftovers of a killed run, even if it has a
// different plan.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	before := snapshot(t, dir)
	leave := func() {
		for _, name := range []string{tempName(cmdlineFile), tempName(journalFile)} {
			err := errors.Join(os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600))
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	leave()
	if err := threeFiles().Apply(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	leave()
	if err := Undo(t.Context(), root, nil); err != nil {
		t.Fatal(err)
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Error(diff)
	}
	if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(journalFile)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Undo(t.Context(), root, nil); !errors.Is(err, ErrNothingToUndo) {
		t.Error(err)
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Errorf("the journal's directory: %s", diff)
	}
}

// A second plan waits until the first plan and its commands have ended, or
// until the context of the second plan ends.
func TestOnePlanAtATime(t *testing.T) {
	t.Parallel()
	dir, root := host(t)
	before := snapshot(t, dir)
	other, err := os.OpenRoot(dir) // another process would open the directory itself
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	second := HostPlan{Changes: []FileChange{{Path: modulesFile, After: text("vfio-pci\n")}}}
	done := make(chan error, 1)
	err = threeFiles().Apply(t.Context(), root, func(_ context.Context, command []string) error {
		if command[0] != "update-grub" {
			return nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- second.Apply(t.Context(), other, nil) }()
		time.AfterFunc(2*time.Second, cancel) // by then the second plan waits, even on a busy machine
		if err := Undo(ctx, other, nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another process is changing this host") {
			t.Errorf("undo while a plan is applied: %v", err)
		}
		if _, err := root.Stat(modulesFile); err == nil {
			t.Error("the second plan did not wait")
		}
		return nil
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Undo(t.Context(), root, nil); err != nil {
			t.Error(err)
		}
	}
	if diff := compare(snapshot(t, dir), before); diff != "" {
		t.Error(diff)
	}
}

// A cancelled context does not interrupt a command that has begun.
func TestExecRunsToTheEnd(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell here")
	}
	dir := t.TempDir()
	begun, end := filepath.Join(dir, "begun"), filepath.Join(dir, "end")
	if err := exec.Command("mkfifo", begun, end).Run(); err != nil {
		t.Skip("no pipes here: ", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Exec(ctx, []string{"sh", "-c", "echo > " + begun + "; read line < " + end + "; touch " + end + ".reached"})
	}()
	if _, err := os.ReadFile(begun); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := os.WriteFile(end, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(end + ".reached"); err != nil {
		t.Error(err)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell here")
	}
	if err := Exec(t.Context(), []string{"true"}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Exec(ctx, []string{"true"}); !errors.Is(err, context.Canceled) {
		t.Errorf("begun after its context ended: %v", err)
	}
	err := Exec(t.Context(), []string{"sh", "-c", "echo why; exit 3"})
	if err == nil || err.Error() != "exit status 3: why" {
		t.Errorf("got %v", err)
	}
}
