package pve

import (
	"cmp"
	"context"
	"net/url"
	"slices"

	"github.com/proxstation/proxstation/storage"
)

// committed adds facts about the volumes of a storage: the images to install
// from, and the disks of VMs and containers. It also adds up the sizes of the
// disks. It omits this sum for the storage type lvm, whose disks take all their
// space at once. If the volumes cannot be listed, these facts stay unknown.
func (c *Client) committed(ctx context.Context, s storage.Storage) storage.Storage {
	thick := s.Type == "lvm"
	content, asked := listed(s)
	if !asked {
		return s
	}
	volumes, err := c.content(ctx, s.Name, content, s.Shared)
	if err != nil {
		return s
	}
	if slices.Contains(s.Content, "iso") || slices.Contains(s.Content, "import") {
		s.Images = []storage.Volume{}
		for _, v := range volumes {
			if v.Content == "iso" || v.Content == "import" {
				s.Images = append(s.Images, storage.Volume{ID: v.ID, Size: v.Size})
			}
		}
	}
	if !slices.Contains(s.Content, "images") {
		return s
	}
	var sum storage.Size
	s.Volumes = []storage.Volume{}
	for _, v := range volumes {
		if v.Content == "images" || v.Content == "rootdir" {
			sum += v.Size
			s.Volumes = append(s.Volumes, storage.Volume{ID: v.ID, Size: v.Size, VMID: v.VMID})
		}
	}
	if !thick {
		s.Committed = &sum
	}
	return s
}

// listed returns the content type to request from a storage, or "" for all
// types. There is only one request for each storage, because PVE lists all
// images anew for each request. asked is false if no rule needs the storage's
// content. Install images are not requested from an offline storage, because
// PVE would try to mount the storage.
func listed(s storage.Storage) (content string, asked bool) {
	local := slices.Contains([]string{"lvm", "lvmthin", "zfspool", "dir", "btrfs"}, s.Type)
	images := slices.Contains(s.Content, "images") && local
	files := (slices.Contains(s.Content, "iso") || slices.Contains(s.Content, "import")) && s.Active
	switch {
	case images && !files && !slices.Contains(s.Content, "rootdir"):
		return "images", true
	case files && !images && !slices.Contains(s.Content, "import"):
		return "iso", true
	}
	return "", images || files
}

// A Volume is a disk, an image or another file on a storage.
type Volume struct {
	ID      string
	Content string // "images", "rootdir", "iso", "import"
	Size    storage.Size
	VMID    int
}

// Content lists the volumes of one content type. If content is "", it lists the
// volumes of all types.
func (c *Client) Content(ctx context.Context, name, content string) ([]Volume, error) {
	return c.content(ctx, name, content, false)
}

// content lists volumes. The volumes of a shared storage are the same on all
// nodes.
func (c *Client) content(ctx context.Context, name, content string, shared bool) ([]Volume, error) {
	var entries []struct {
		VolID, Content string
		Size, VMID     number
	}
	query := url.Values{}
	if content != "" {
		query.Set("content", content)
	}
	path := c.here("/storage/%s/content", url.PathEscape(name))
	var err error
	if shared {
		err = c.getAlike(ctx, "content of "+name+" "+content, path, query, &entries)
	} else {
		err = c.get(ctx, path, query, &entries)
	}
	if err != nil {
		return nil, err
	}
	volumes := make([]Volume, len(entries))
	for i, e := range entries {
		volumes[i] = Volume{ID: e.VolID, Content: cmp.Or(e.Content, content), Size: storage.Size(e.Size.value), VMID: int(e.VMID.value)}
	}
	return volumes, nil
}
