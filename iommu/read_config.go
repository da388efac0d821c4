package iommu

import (
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// The method "configurations" reads the files that decide which modules are
// loaded, and how.
func (r *reader) configurations() {
	r.Modprobe = r.modprobe()
	r.ModprobeUnread = r.passedOver()
	r.ModulesLoad = r.configuration(r.Etc, "etc/", "modules", "modules-load.d/*.conf")
	r.Initramfs = r.configuration(r.Etc, "etc/", "initramfs-tools/modules")
	r.NewerThanInitramfs = r.newerThanInitramfs()
}

// The method "configuration" reads the files of fsys that match the patterns.
// For each pattern, it reads them in the order of their names. The parameter
// "at" is the path of fsys on the machine.
func (r *reader) configuration(fsys fs.FS, at string, patterns ...string) []HostFile {
	var files []HostFile
	for _, pattern := range patterns {
		names, _ := fs.Glob(fsys, pattern)
		slices.Sort(names)
		for _, name := range names {
			if strings.HasPrefix(path.Base(name), ".") {
				continue // kmod, systemd and grub-mkconfig skip hidden files
			}
			if info, err := fs.Stat(fsys, name); err == nil && info.IsDir() {
				continue
			}
			data, err := fs.ReadFile(fsys, name)
			if err != nil {
				r.unread("/"+at+name, err)
				continue
			}
			files = append(files, HostFile{Path: at + name, Text: string(data)})
		}
	}
	return files
}

// The method "modprobe" reads the files of all directories in the order of their
// base names. If several files have the same name, kmod only reads the file in
// the first of these directories (kmod_config_new in libkmod-config.c).
func (r *reader) modprobe() []HostFile {
	files := r.configuration(r.Etc, "etc/", "modprobe.d/*.conf")
	more := slices.Concat(r.configuration(r.Run, "run/", "modprobe.d/*.conf"),
		r.configuration(r.Usr, "usr/", "local/lib/modprobe.d/*.conf"), r.configuration(r.Usr, "usr/", "lib/modprobe.d/*.conf"))
	for _, file := range more {
		if !slices.ContainsFunc(files, func(f HostFile) bool { return path.Base(f.Path) == path.Base(file.Path) }) {
			files = append(files, file)
		}
	}
	slices.SortStableFunc(files, func(a, b HostFile) int { return strings.Compare(path.Base(a.Path), path.Base(b.Path)) })
	return files
}

// backups holds the endings that people and programs give to the names of
// backup copies.
var backups = []string{"~", ".bak", ".old", ".orig", ".save", ".disabled", ".off", ".rej"}

// passedOver returns the files of /etc/modprobe.d whose names kmod does not
// accept. It leaves out backups, because nobody wants backups to be in force.
func (r *reader) passedOver() []HostFile {
	files := r.configuration(r.Etc, "etc/", "modprobe.d/*")
	return slices.DeleteFunc(files, func(file HostFile) bool {
		return strings.HasSuffix(file.Path, ".conf") || strings.Contains(path.Base(file.Path), ".dpkg-") || strings.Contains(path.Base(file.Path), ".ucf-") ||
			slices.ContainsFunc(backups, func(end string) bool { return strings.HasSuffix(file.Path, end) })
	})
}

// newerThanInitramfs returns the files that are newer than the initramfs. It
// ignores differences of less than a minute, because each file of a captured
// machine has the time at which it was copied.
func (r *reader) newerThanInitramfs() []string {
	image, err := fs.Stat(r.Boot, "initrd.img-"+r.Kernel)
	if err != nil || r.Kernel == "" || image.ModTime().IsZero() {
		return nil
	}
	var newer []string
	for _, file := range slices.Concat(r.Modprobe, r.Initramfs) {
		name, ok := strings.CutPrefix(file.Path, "etc/")
		info, err := fs.Stat(r.Etc, name)
		if ok && err == nil && info.ModTime().After(image.ModTime().Add(time.Minute)) {
			newer = append(newer, "/"+file.Path)
		}
	}
	return newer
}
