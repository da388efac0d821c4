package pvetest

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

// The objects in this file have the same form as in PVE (pve-storage
// PVE/Diskmanage.pm and PVE/API2/Disks/*.pm). If PVE sends a number as text,
// this node also sends it as text.

func (n *Node) listDisks(c *call) (any, error) {
	list := []map[string]any{}
	for _, d := range n.host.Disks {
		vendor := "ATA     "
		if d.Type == "nvme" {
			vendor = "unknown"
		}
		entry := map[string]any{
			"devpath": d.Path, "model": d.Model, "serial": d.Serial, "size": d.Size, "type": d.Type, "vendor": vendor,
			"wwn": cmp.Or(d.WWN, "unknown"), "gpt": 1, "osdid": -1, "osdid-list": nil, "rpm": d.RPM, "health": d.Health, "wearout": "N/A",
		}
		if d.Type == "hdd" {
			entry["rpm"] = strconv.Itoa(d.RPM) // PVE sends a disk's speed as text, but a 0 for an SSD as a number
		}
		if d.Wearout >= 0 && d.Type != "hdd" {
			entry["wearout"] = d.Wearout
		}
		if d.ByID != "" {
			entry["by_id_link"] = d.ByID
		}
		if d.Used != "" {
			entry["used"] = d.Used
		}
		if c.get("include-partitions") == "1" && len(d.Partitions) > 0 {
			entry["used"] = "partitions"
		}
		list = append(list, entry)
		if c.get("include-partitions") == "1" {
			for _, p := range d.Partitions {
				part := map[string]any{"devpath": p.Path, "parent": d.Path, "size": p.Size, "type": "partition", "gpt": 1, "osdid": -1, "osdid-list": nil, "used": p.Used}
				if p.Mounted {
					part["mounted"] = 1
				}
				list = append(list, part)
			}
		}
	}
	return list, nil
}

func (n *Node) listVGs(*call) (any, error) {
	groups := []map[string]any{}
	for _, vg := range n.host.Groups {
		children := []map[string]any{}
		for _, pv := range vg.Volumes {
			children = append(children, map[string]any{"name": pv, "size": vg.Size / int64(len(vg.Volumes)), "free": vg.Free / int64(len(vg.Volumes)), "leaf": 1})
		}
		groups = append(groups, map[string]any{"name": vg.Name, "size": vg.Size, "free": vg.Free, "lvcount": 3, "leaf": 0, "children": children})
	}
	return map[string]any{"leaf": 0, "children": groups}, nil
}

func (n *Node) listThin(*call) (any, error) {
	list := []map[string]any{}
	for _, p := range n.host.ThinPools {
		list = append(list, map[string]any{"lv": p.Name, "vg": p.VG, "lv_size": p.Size, "used": p.Used, "metadata_size": p.MetadataSize, "metadata_used": p.MetadataUsed,
			"lv_type": "t", "lv_state": "a", "ctime": text(int(n.began.Unix()))})
	}
	return list, nil
}

func (n *Node) listZFS(*call) (any, error) {
	list := []map[string]any{}
	for _, z := range n.host.ZPools {
		list = append(list, map[string]any{"name": z.Name, "size": z.Size, "alloc": z.Used, "free": z.Size - z.Used, "frag": 3, "dedup": 1.0, "health": z.Health})
	}
	return list, nil
}

func (n *Node) oneZFS(c *call) (any, error) {
	i := slices.IndexFunc(n.host.ZPools, func(z ZPool) bool { return z.Name == c.get("name") })
	if i < 0 {
		return nil, refuse("command '/sbin/zpool status %s' failed: exit code 1", c.get("name"))
	}
	z := n.host.ZPools[i]
	root := map[string]any{"name": z.Name, "state": z.Health, "leaf": 0, "msg": "", "read": 0, "write": 0, "cksum": 0, "children": vdevs(z.VDevs)}
	return map[string]any{"name": z.Name, "leaf": 0, "state": z.Health, "scan": "none requested", "errors": "No known data errors", "children": []any{root}}, nil
}

func vdevs(list []VDev) []map[string]any {
	objects := []map[string]any{}
	for _, v := range list {
		object := map[string]any{"name": v.Name, "leaf": bit(len(v.Children) == 0), "state": "ONLINE", "msg": "", "read": 0, "write": 0, "cksum": 0}
		if len(v.Children) > 0 {
			object["children"] = vdevs(v.Children)
		}
		objects = append(objects, object)
	}
	return objects
}

func (n *Node) listDirectories(*call) (any, error) {
	list := []map[string]any{}
	for _, d := range n.host.Directories {
		list = append(list, map[string]any{"path": d.Path, "device": d.Device, "type": d.Type, "options": "defaults",
			"unitfile": fmt.Sprintf("/etc/systemd/system/%s.mount", d.Path)})
	}
	return list, nil
}

func (n *Node) smart(c *call) (any, error) {
	i := slices.IndexFunc(n.host.Disks, func(d Disk) bool { return d.Path == c.get("disk") })
	if i < 0 {
		return nil, refuse("not a valid block device")
	}
	d := n.host.Disks[i]
	if d.Type == "nvme" {
		object := map[string]any{"health": d.Health, "type": "text", "text": fmt.Sprintf("\nSMART overall-health self-assessment test result: %s\n", d.Health)}
		if d.Wearout >= 0 {
			object["wearout"] = d.Wearout
			object["text"] = fmt.Sprintf("%vPercentage Used:                    %d%%\n", object["text"], 100-d.Wearout)
		}
		return object, nil
	}
	attribute := func(id, name string, value int, raw string) map[string]any {
		return map[string]any{"id": id, "name": name, "flags": "-O--CK", "value": value, "normalized": value, "worst": value, "threshold": 0, "fail": "-", "raw": raw}
	}
	attributes := []map[string]any{attribute("  5", "Reallocated_Sector_Ct", 100, "0"), attribute("  9", "Power_On_Hours", 98, "8760")}
	if d.Wearout >= 0 {
		attributes = append(attributes, attribute("231", "SSD_Life_Left", d.Wearout, text(d.Wearout)))
	}
	return map[string]any{"health": d.Health, "type": "ata", "attributes": attributes}, nil
}
