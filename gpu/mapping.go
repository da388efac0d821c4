package gpu

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/iommu"
)

// ErrMapping reports a text that is not an entry of a PCI resource mapping.
var ErrMapping = errors.New("not a valid mapping entry")

// A Mapping is a PCI resource mapping of a cluster: one name for a device that
// each node has at its own address (PVE manual, Resource Mapping;
// pve-guest-common PVE/Mapping/PCI.pm).
type Mapping struct {
	// ID is the mapping's name: a letter, then letters, digits, "-" and "_".
	ID          string `json:"id"`
	Description string `json:"description,omitempty"`
	// MDev says that the devices offer mediated devices. If MDev is wrong, PVE
	// starts no VM that uses the mapping.
	MDev bool `json:"mdev,omitempty"`
	// LiveMigration marks the devices as able to migrate (live-migration-capable).
	LiveMigration bool `json:"liveMigration,omitempty"`
	// Entries holds the devices. Several entries of one node are alternatives:
	// a VM gets the first alternative that is free.
	Entries []MappingEntry `json:"entries"`
	// Unread holds the entries that this package cannot read, in the form in
	// which PVE returned them. The devices of their nodes are unknown.
	Unread []string `json:"unread,omitempty"`
	// Digest is the digest of the whole mapping configuration of the cluster.
	Digest string `json:"-"`
}

// A MappingEntry names the device of a mapping on one node. PVE refuses to
// start a VM if another device is at the entry's address; see [Node.Drift].
type MappingEntry struct {
	Node string `json:"node"`
	// Devices holds one device, or several that go to the guest together.
	Devices []Device `json:"devices"`
	// Model and Subsystem are the numbers of the first function of every
	// device.
	Model     iommu.Model   `json:"model"`
	Subsystem *iommu.Model  `json:"subsystem,omitempty"` // nil if not given
	Group     iommu.GroupID `json:"group"`               // of the first device; the zero GroupID if not given
	// Description is for people.
	Description string `json:"description,omitempty"`
	// Unread holds the parts of the entry that this package does not
	// understand, such as a key that a newer PVE introduced. The parts are
	// unchanged.
	Unread []string `json:"unread,omitempty"`
}

var (
	pathFormat  = regexp.MustCompile(`^[a-f0-9]{4,}:[^;]+(;[a-f0-9]{4,}:[^;]+)*$`) // the path includes the domain
	modelFormat = regexp.MustCompile(`^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}$`)
	oneLine     = regexp.MustCompile(`^[^,\n]+$`)
)

// ParseMappingEntry parses an entry as PVE writes it:
// "id=10de:2c05,iommugroup=12,node=pve,path=0000:01:00,subsystem-id=1462:5315".
// It puts the parts that it does not understand into Unread. The error matches
// [ErrMapping] if node, devices or model are missing or cannot be read.
func ParseMappingEntry(s string) (MappingEntry, error) {
	var e MappingEntry
	given := map[string]bool{}
	unread, err := parseProperties(s, "", func(key, value string) error {
		wrong := e.set(key, value)
		given[key] = wrong == nil
		return wrong
	})
	e.Unread = unread
	for _, key := range []string{"node", "path", "id"} {
		if !given[key] {
			err = errors.Join(fmt.Errorf("no %s", key), err)
			return MappingEntry{}, fmt.Errorf("gpu: mapping entry %q: %w: %w", s, ErrMapping, err)
		}
	}
	return e, nil
}

func (e *MappingEntry) set(key, value string) (err error) {
	switch key {
	case "node":
		e.Node, err = parseText(key, value, nodeName)
	case "description":
		e.Description, err = parseText(key, value, oneLine)
	case "path":
		if _, err = parseText(key, value, pathFormat); err == nil {
			e.Devices, err = parseDevices(value)
		}
	case "id":
		e.Model, err = parseModel(key, value)
	case "subsystem-id":
		var m iommu.Model
		if m, err = parseModel(key, value); err == nil {
			e.Subsystem = &m
		}
	case "iommugroup":
		var n int
		n, err = strconv.Atoi(value)
		switch {
		case err != nil:
			err = fmt.Errorf("iommugroup %q: want a number", value)
		case n >= 0: // the API returns -1 if there is no IOMMU
			e.Group = iommu.Group(n)
		}
	default:
		err = fmt.Errorf("PVE has no key %q", key)
	}
	return err
}

func parseModel(key, s string) (iommu.Model, error) {
	if _, err := parseText(key, s, modelFormat); err != nil {
		return iommu.Model{}, err
	}
	vendor, err1 := iommu.ParseID(s[:4])
	device, err2 := iommu.ParseID(s[5:])
	return iommu.Model{Vendor: vendor, Device: device}, errors.Join(err1, err2)
}

// String returns the entry as PVE writes it, with its keys in order.
func (e MappingEntry) String() string {
	var fields []string
	if e.Description != "" {
		fields = append(fields, "description="+e.Description)
	}
	fields = append(fields, "id="+e.Model.String())
	if n, ok := e.Group.Int(); ok {
		fields = append(fields, fmt.Sprintf("iommugroup=%d", n))
	}
	fields = append(fields, "node="+e.Node, "path="+joinDevices(e.Devices))
	if e.Subsystem != nil {
		fields = append(fields, "subsystem-id="+e.Subsystem.String())
	}
	return strings.Join(append(fields, e.Unread...), ",")
}

// NewMapping returns a mapping of one card on one node, with all functions of
// the card. PVE refuses an entry whose functions are of several models
// (assert_valid in pve-guest-common PVE/Mapping/PCI.pm). Therefore the mapping
// holds only the display in two cases: if the card is a virtual function, and
// if its slot has functions that do not belong to the card, such as the USB
// controllers beside AMD's integrated graphics. NewMapping returns an error if
// PVE would refuse the mapping's name or the node's name, or if the card has no
// function 0.
func NewMapping(id, node string, card Card) (Mapping, error) {
	switch {
	case !configID.MatchString(id):
		return Mapping{}, fmt.Errorf("gpu: mapping %q: want a name that matches %s", id, configID)
	case !nodeName.MatchString(node):
		return Mapping{}, fmt.Errorf("gpu: mapping %s: %q is not a node's name", id, node)
	case len(card.Functions) == 0:
		return Mapping{}, fmt.Errorf("gpu: mapping %s: the card has no functions", id)
	}
	first := card.Functions[0]
	device := WholeDevice(first.Address)
	if card.virtual() || len(card.foreign()) > 0 {
		first = card.Display()
		device = Device{Address: first.Address}
	} else if first.Address.Function() != 0 { // PVE identifies a whole device by its function 0
		return Mapping{}, fmt.Errorf("gpu: mapping %s: %s has no function 0", id, first.Address.Slot())
	}
	return Mapping{ID: id, MDev: first.MDev == proxstation.Yes, Entries: []MappingEntry{{
		Node: node, Devices: []Device{device},
		Model: first.Model, Subsystem: &first.Subsystem, Group: first.Group,
	}}}, nil
}

// On selects the entries of one node. If there are several, they are
// alternatives.
func (m Mapping) On(node string) []MappingEntry {
	var entries []MappingEntry
	for _, e := range m.Entries {
		if e.Node == node {
			entries = append(entries, e)
		}
	}
	return entries
}

// Find returns the addresses at which the entry's device may be now. The
// devices there have the entry's model. They also have the entry's subsystem,
// if the entry gives a subsystem.
func (e MappingEntry) Find(functions []iommu.Function) []iommu.Address {
	var found []iommu.Address
	for _, f := range functions {
		if f.Model == e.Model && (e.Subsystem == nil || f.Subsystem == *e.Subsystem) {
			found = append(found, f.Address)
		}
	}
	slices.SortFunc(found, iommu.Address.Compare)
	return found
}
