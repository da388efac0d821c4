package cluster

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
)

// An Image says where an image comes from if the chosen node does not have it.
// Either URL or Open is set.
type Image struct {
	// Volume is the volume that a VM of the Spec names, such as
	// "local:iso/virtio-win.iso". A volume with the same content type and file
	// name on another storage is the same image.
	Volume string
	// URL is the address from which the node fetches the image. If URL is set,
	// SHA256 must be the checksum of the image in hexadecimal.
	URL, SHA256 string
	// Open opens the image for an upload.
	Open func() (io.ReadSeekCloser, error)
}

// problem returns the reason why the image cannot be brought. It returns "" if
// it can be brought.
func (i Image) problem() string {
	sum, err := hex.DecodeString(i.SHA256)
	switch {
	case i.URL == "" && i.Open == nil:
		return "the image has neither a URL nor a way to open it"
	case i.URL != "" && i.Open != nil:
		return "the image has a URL and a way to open it: want one of them"
	case i.URL != "" && (err != nil || len(sum) != sha256.Size):
		return "a URL needs the SHA-256 checksum of the image, 64 hexadecimal digits"
	}
	return ""
}

// A BringImage brings an image to a node.
type BringImage struct {
	Node  string
	Image Image // Image.Volume is the volume that the node will have
}

func (b BringImage) change() workstation.StepChange {
	from := "uploaded from here"
	if b.Image.URL != "" {
		from = "fetched by the node from " + b.Image.URL
	}
	pool, _, _ := qmconf.CutVolume(b.Image.Volume)
	return workstation.StepChange{Sign: workstation.SignAdd, Object: "image " + b.Image.Volume + " on node " + b.Node,
		Lines: []workstation.StepLine{{Sign: workstation.SignAdd, Key: "from", Want: from}},
		Needs: []workstation.Privilege{{Path: "/storage/" + pool, Name: "Datastore.AllocateTemplate"}}}
}

// An imaging finds on one node the images that a VM needs.
type imaging struct {
	spec   []Image
	all    Facts
	node   workstation.Facts
	brings []BringImage
	// The Spec names an image by its volume, and the node may have the image as
	// another volume. The field moved holds a text for each such image.
	moved []string
	why   []string // the images that the node cannot get, with the reason
}

// Returns the VM with the volumes that its images have on this node, or will
// have there after the plan. If the VM exists, the images in its drives stay as
// they are.
func (i *imaging) images(vm workstation.VM) workstation.VM {
	vm.Disks = slices.Clone(vm.Disks)
	have := i.node.VMs[vm.ID].Config
	for n, disk := range vm.Disks {
		volume := cmp.Or(disk.Volume, disk.Import)
		_, there := have[disk.Slot]
		if drive := have[disk.Slot]; disk.Import != "" && there || strings.HasPrefix(drive+",", volume+",") {
			continue
		}
		volume = i.find(volume)
		if disk.Volume != "" {
			vm.Disks[n].Volume = volume
		} else if disk.Import != "" {
			vm.Disks[n].Import = volume
		}
	}
	return vm
}

// Returns the volume that holds the image on the node. If the node does not
// have the image, the method plans to bring it.
func (i *imaging) find(volume string) string {
	name, file, pooled := qmconf.CutVolume(volume)
	content, _, _ := strings.Cut(file, "/")
	if !pooled || content != "iso" && content != "import" || len(i.node.Pools) == 0 {
		return volume
	}
	var others []string
	for _, pool := range i.node.Pools {
		listed := slices.ContainsFunc(pool.Images, func(v storage.Volume) bool { return v.ID == pool.Name+":"+file })
		switch {
		case pool.Name == name && pool.Active && (listed || pool.Images == nil):
			return volume
		case pool.Active && listed:
			others = append(others, pool.Name+":"+file)
		}
	}
	if len(others) > 0 {
		i.moved = append(i.moved, fmt.Sprintf("%s is on the node as %s", volume, others[0]))
		return others[0]
	}
	return i.bring(volume, name, file, content)
}

// Adds a step that brings an image to the node. It prefers the storage that the
// VM names. If that storage cannot hold the image, it takes the storage with
// the most space that can.
func (i *imaging) bring(volume, name, file, content string) string {
	source := slices.IndexFunc(i.spec, func(image Image) bool {
		_, its, _ := qmconf.CutVolume(image.Volume)
		return its == file
	})
	if source < 0 {
		i.why = append(i.why, volume+" is not on the node"+i.elsewhere(file)+", and the Spec does not say where to get it")
		return volume
	}
	if problem := i.spec[source].problem(); problem != "" {
		i.why = append(i.why, volume+" is not on the node, and the Spec does not say where to get it: "+problem)
		return volume
	}
	var best *storage.Pool
	for n, pool := range i.node.Pools {
		if !pool.Active || !pool.Holds(content) || best != nil && best.Name == name {
			continue
		}
		if best == nil || pool.Name == name || pool.Available > best.Available {
			best = &i.node.Pools[n]
		}
	}
	if best == nil {
		i.why = append(i.why, fmt.Sprintf("%s is not on the node, and none of its storages takes content of the type %s", volume, content))
		return volume
	}
	image := i.spec[source]
	image.Volume = best.Name + ":" + file
	i.brings = append(i.brings, BringImage{Node: i.node.Node, Image: image})
	return image.Volume
}

// Returns a text with the nodes that have an image.
func (i *imaging) elsewhere(file string) string {
	var names []string
	for _, node := range i.all.readable() {
		for _, pool := range node.Pools {
			if slices.ContainsFunc(pool.Images, func(v storage.Volume) bool { return v.ID == pool.Name+":"+file }) {
				names = append(names, node.Node+" ("+pool.Name+")")
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", only on " + strings.Join(names, " and ")
}

// brought returns the facts of the node as they will be after the images were
// brought.
func brought(facts workstation.Facts, brings []BringImage) workstation.Facts {
	facts.Pools = slices.Clone(facts.Pools)
	for _, b := range brings {
		name, _, _ := qmconf.CutVolume(b.Image.Volume)
		for n, pool := range facts.Pools {
			if pool.Name == name && b.Node == facts.Node {
				facts.Pools[n].Images = append(slices.Clone(pool.Images), storage.Volume{ID: b.Image.Volume})
			}
		}
	}
	return facts
}
