package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/recovery"
)

// imageName returns the file name of the disk with a release's recovery system.
func imageName(release recovery.Release) string {
	return "recovery-" + strings.ReplaceAll(strings.ToLower(release.String()), " ", "-") + ".raw"
}

// bring uploads the recovery system to the node, as the volume that the plan
// names. If the recovery system is not yet on this machine, bring downloads it
// first. After a failure, the next call continues the download.
func (s *show) bring(ctx context.Context, progress func(workstation.Event)) error {
	dir := filepath.Join(s.fetch, strings.ToLower(s.release.String()))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	list, err := recovery.Open(dir, s.service.Keys...)
	if err != nil { // the download is missing or incomplete
		s.service.Progress = func(e recovery.Event) {
			progress(workstation.Event{Message: fmt.Sprintf("%s: %d of %d MiB", e.Message, e.Done>>20, e.Total>>20)})
		}
		asset, err := s.service.Find(ctx, s.release)
		if err != nil {
			return err
		}
		if list, err = s.service.Download(ctx, asset, dir); err != nil {
			return err
		}
	}
	disk := filepath.Join(dir, imageName(s.release))
	if err := list.SaveDisk(ctx, dir, disk); err != nil {
		return err
	}
	file, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return s.node.Upload(ctx, s.mac.Recovery, file, progress)
}
