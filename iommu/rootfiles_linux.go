package iommu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Lock implements [fileSystem] with flock(2) on the root directory itself. It
// leaves no file behind, and if the process is killed, the kernel releases the
// lock.
func (r rootFiles) Lock(ctx context.Context) (unlock func(), err error) {
	dir, err := r.root.Open(".")
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { dir.Close() }, nil
		case errors.Is(err, unix.EINTR):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, errors.Join(fmt.Errorf("lock the root directory: %w", err), dir.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("another process is changing this host: %w", ctx.Err()), dir.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// The method "complete" adds the properties of a file that only a system call
// shows.
func (r rootFiles) complete(name string, info fs.FileInfo, all *fileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() {
		return nil
	}
	all.Owner, all.Names = [2]int{int(stat.Uid), int(stat.Gid)}, int(stat.Nlink)
	f, err := r.root.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	var x unix.Statx_t
	const fixed = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND
	if unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, 0, &x) == nil {
		all.Fixed = x.Attributes&fixed != 0
	}
	all.Attrs, err = attrs(f)
	return err
}

// attrs returns the extended attributes of a file (xattr(7)). Some file systems
// have no such attributes.
func attrs(f *os.File) (map[string][]byte, error) {
	names, err := readAll(func(buf []byte) (int, error) { return unix.Flistxattr(int(f.Fd()), buf) })
	if errors.Is(err, unix.ENOTSUP) || err == nil && len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, &fs.PathError{Op: "listxattr", Path: f.Name(), Err: err}
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimRight(string(names), "\x00"), "\x00") {
		all[name], err = readAll(func(buf []byte) (int, error) { return unix.Fgetxattr(int(f.Fd()), name, buf) })
		if err != nil {
			return nil, &fs.PathError{Op: "getxattr " + name, Path: f.Name(), Err: err}
		}
	}
	return all, nil
}

// readAll makes a system call twice. The first call has no buffer and returns
// the size of the data. The second call fills a buffer of that size.
func readAll(call func([]byte) (int, error)) ([]byte, error) {
	size, err := call(nil)
	if err != nil || size == 0 {
		return nil, err
	}
	buf := make([]byte, size)
	n, err := call(buf)
	return buf[:max(0, n)], err
}

// SetAttrs implements [newFile]. A new file may already have attributes, such
// as its label and the default ACL of its directory. SetAttrs removes
// attributes that are not wanted.
func (f systemFile) SetAttrs(want map[string][]byte) error {
	have, err := attrs(f.File)
	if err != nil {
		return err
	}
	for name := range have {
		if _, keep := want[name]; keep {
			continue
		}
		if err := unix.Fremovexattr(int(f.Fd()), name); err != nil {
			return &fs.PathError{Op: "removexattr " + name, Path: f.Name(), Err: err}
		}
	}
	for name, value := range want {
		if string(have[name]) == string(value) && have[name] != nil {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
			return &fs.PathError{Op: "setxattr " + name, Path: f.Name(), Err: err}
		}
	}
	return nil
}

// The function "apart" protects a command from signals of the terminal.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
