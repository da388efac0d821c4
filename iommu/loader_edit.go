package iommu

import (
	"fmt"
	"slices"
	"strings"
)

// editCmdline edits the first line of /etc/kernel/cmdline. Only this line has
// an effect, and it must have root= (proxmox-kernel-helper, zz-proxmox-boot).
func editCmdline(text string, gone, missing []string) (string, error) {
	line, rest, more := strings.Cut(text, "\n")
	if len(ParseCmdline(line).Values("root")) == 0 {
		return "", fmt.Errorf("%w: the first line of /%s, which alone counts, has no root=: %q", ErrLoader, cmdlineFile, line)
	}
	after := ParseCmdline(line).Without(gone...).With(missing...).String()
	if more {
		after += "\n" + rest
	}
	return after, nil
}

// grubSnippet returns the content of our own file in /etc/default/grub.d, which
// Debian's grub-mkconfig reads after /etc/default/grub.
func grubSnippet(args []string) string {
	if len(args) == 0 {
		return ""
	}
	value := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(Cmdline{}.With(args...).String())
	return "# Written by proxstation.\n" + grubDefault + `="$` + grubDefault + ` ` + value + "\"\n"
}

// The method "effective" returns an error if a later file would remove the
// arguments that our file sets.
func (f Facts) effective(args []string) error {
	files := slices.DeleteFunc(slices.Clone(f.Loader.Defaults), func(file HostFile) bool { return file.Path == grubFile })
	files = append(files, HostFile{Path: grubFile, Text: grubSnippet(args)})
	slices.SortFunc(files, func(a, b HostFile) int { return strings.Compare(a.Path, b.Path) })
	result, err := grubCmdline(files)
	if err != nil {
		return err
	}
	for _, arg := range args {
		if dashes, there := f.dashes(); there && !result.Has(arg) {
			return fmt.Errorf("%w: %s has \"--\", after which the kernel reads no argument, and /%s can only add %s after it: remove the \"--\"", ErrLoader, dashes.where, grubFile, arg)
		}
		if !result.Has(arg) {
			last := lastAnew(files)
			return fmt.Errorf("%w: %s, which is read after /%s, sets %s anew, without %s: let the new value begin with $%s", ErrLoader, last.where, grubFile, grubDefault, arg, grubDefault)
		}
	}
	return nil
}
