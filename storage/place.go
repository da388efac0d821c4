package storage

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/proxstation/proxstation/internal/printable"
)

// A Purpose says what a disk is used for. The preferred tier and the slowest
// allowed tier follow from it.
type Purpose string

// These are the purposes of disks.
const (
	Boot     Purpose = "boot"     // an operating system
	Firmware Purpose = "firmware" // EFI variables and TPM state: small, on the boot disk's pool
	Data     Purpose = "data"     // a second disk, or databases
	Scratch  Purpose = "scratch"  // data that may be lost
	Models   Purpose = "models"   // AI models and their cache
	Games    Purpose = "games"    //
	Bulk     Purpose = "bulk"     // media and archives
	Backup   Purpose = "backup"   //
	Image    Purpose = "image"    // ISO images
)

// The table "wants" holds, for each purpose, the preferred tier, the slowest
// allowed tier, and the content type that PVE requires of the storage. An
// operating system on a hard disk is refused unless the caller asks for it.
var wants = map[Purpose]struct {
	prefer, least Tier
	content       string
}{
	Boot:     {Tier1, Tier2, "images"},
	Firmware: {Tier1, TierUnknown, "images"},
	Data:     {Tier2, TierUnknown, "images"},
	Scratch:  {Tier2, TierUnknown, "images"},
	Models:   {Tier2, TierUnknown, "images"},
	Games:    {Tier2, TierUnknown, "images"},
	Bulk:     {Tier3, TierUnknown, "images"},
	Backup:   {Tier3, TierUnknown, "backup"},
	Image:    {Tier3, TierUnknown, "iso"},
}

// Tiers returns the preferred tier of a purpose and the slowest allowed tier.
// least is unknown if every tier is allowed. Both tiers are unknown for an
// unknown purpose.
func (p Purpose) Tiers() (prefer, least Tier) { return wants[p].prefer, wants[p].least }

// A DiskRequest asks for a pool for one disk.
type DiskRequest struct {
	// Name identifies the disk in the answer: "VM 140 scsi0".
	Name    string
	Purpose Purpose
	Size    Size
	// Least is the slowest allowed tier. If it is unknown, the purpose's
	// slowest allowed tier is used.
	Least Tier
	// Storage is the only allowed storage. If it is empty, every storage is
	// allowed.
	Storage string
	// Disks with the same text in Apart must be on different pools. An empty
	// text sets no condition.
	Apart string
	// Disks with the same text in Together must be on the same pool. An empty
	// text sets no condition.
	Together string
}

// PlaceOptions control [Place]. A nil pointer stands for the zero options.
type PlaceOptions struct {
	// Overcommit limits the promised space to this multiple of the existing
	// space, on pools whose volumes take space only when they are written. 1
	// promises no more than exists, and 0 means 1. 2 promises twice as much.
	Overcommit float64
	// The option Failing allows pools with a disk that SMART expects to fail.
	Failing bool
}

// A DiskChoice is the pool chosen for a [DiskRequest].
type DiskChoice struct {
	Request DiskRequest
	Pool    string
	Tier    Tier
	// The field Why explains the choice of the pool to people.
	Why string
	// The field Refused says why better pools were not chosen.
	Refused []PoolRefusal
}

// A PoolRefusal says why a pool was not chosen.
type PoolRefusal struct{ Pool, Why string }

// ErrNoPlace reports a request that no pool can satisfy.
var ErrNoPlace = errors.New("no storage will do")

// A NoPlaceError explains, pool by pool, why a request found no place.
type NoPlaceError struct {
	Request DiskRequest
	Refused []PoolRefusal
}

// Error implements error.
func (e *NoPlaceError) Error() string {
	var b strings.Builder
	b.WriteString(printable.Sprintf("storage: no place for %s (%s, %s)", e.Request.Name, e.Request.Purpose, e.Request.Size.Human()))
	for _, r := range e.Refused {
		b.WriteString(printable.Sprintf("\n  %s: %s", r.Pool, r.Why))
	}
	b.WriteString("\n  free some space, ask for a slower tier, or name a storage")
	return b.String()
}

// Is reports whether target is [ErrNoPlace].
func (e *NoPlaceError) Is(target error) bool { return target == ErrNoPlace }

// ErrOvercommit reports a [PlaceOptions].Overcommit that is not above 0.
var ErrOvercommit = errors.New("not a ratio by which storages may be overcommitted")

// Place chooses a pool for every request, in order. The same input gives the
// same answer. If requests find no pool, the error joins a [NoPlaceError] for
// each of them. The choices for the other requests are still returned.
func Place(requests []DiskRequest, pools []Pool, opts *PlaceOptions) ([]DiskChoice, error) {
	if opts == nil {
		opts = &PlaceOptions{}
	}
	p := &placing{pools: pools, opts: *opts, taken: map[string]Size{}, sets: map[string]map[string]bool{}}
	p.opts.Overcommit = cmp.Or(p.opts.Overcommit, 1)
	if !(p.opts.Overcommit > 0) || math.IsInf(p.opts.Overcommit, 1) { // this also refuses NaN
		return nil, fmt.Errorf("storage: %w: %v", ErrOvercommit, opts.Overcommit)
	}
	var choices []DiskChoice
	var problems []error
	for _, r := range requests {
		choice, err := p.place(r)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		choices = append(choices, choice)
	}
	return choices, errors.Join(problems...)
}

// The type "placing" holds the space that one call of Place has promised so
// far.
type placing struct {
	pools []Pool
	opts  PlaceOptions
	taken map[string]Size            // promised sizes by Pool.space
	sets  map[string]map[string]bool // pools in use, by the name of a set of disks
}

func (p *placing) place(r DiskRequest) (DiskChoice, error) {
	want := wants[r.Purpose]
	order := slices.Clone(p.pools)
	slices.SortStableFunc(order, func(a, b Pool) int {
		return cmp.Or(
			cmp.Compare(distance(a.Tier, want.prefer), distance(b.Tier, want.prefer)),
			cmp.Compare(p.room(b), p.room(a)),
			cmp.Compare(a.Name, b.Name),
		)
	})
	var refused []PoolRefusal
	for _, pool := range order {
		if r.Storage != "" && r.Storage != pool.Name {
			continue
		}
		if why := p.refuse(r, pool); why != "" {
			refused = append(refused, PoolRefusal{pool.Name, why})
			continue
		}
		p.taken[pool.space()] += r.Size
		for _, set := range []string{"apart " + r.Apart, "together " + r.Together} {
			if p.sets[set] == nil {
				p.sets[set] = map[string]bool{}
			}
			p.sets[set][pool.Name] = true
		}
		return DiskChoice{Request: r, Pool: pool.Name, Tier: pool.Tier, Why: explain(r, pool, refused), Refused: refused}, nil
	}
	if r.Storage != "" && len(refused) == 0 {
		refused = []PoolRefusal{{r.Storage, "the node has no such storage"}}
	}
	return DiskChoice{}, &NoPlaceError{Request: r, Refused: refused}
}

// The function "distance" ranks tiers for a purpose. The preferred tier comes
// first, then the faster tiers (the nearest of them first), then the slower
// tiers, then the unknown tier.
func distance(tier, prefer Tier) int {
	switch {
	case tier == TierUnknown:
		return 100
	case tier <= prefer:
		return int(prefer - tier)
	}
	return 10 + int(tier-prefer)
}

func explain(r DiskRequest, pool Pool, refused []PoolRefusal) string {
	prefer := wants[r.Purpose].prefer
	switch {
	case r.Storage != "":
		return "as asked for"
	case pool.Tier == prefer:
		return fmt.Sprintf("tier %s (%s), as %s wants", pool.Tier, pool.Tier.Media(), r.Purpose)
	}
	why := fmt.Sprintf("tier %s (%s); %s would rather be on tier %s (%s)", pool.Tier, pool.Tier.Media(), r.Purpose, prefer, prefer.Media())
	if len(refused) > 0 {
		why += fmt.Sprintf(", but %s: %s", refused[0].Pool, refused[0].Why)
	}
	return why
}

// The method "refuse" returns why a pool cannot take the disk, or "".
func (p *placing) refuse(r DiskRequest, pool Pool) string {
	want := wants[r.Purpose]
	least := cmp.Or(r.Least, want.least)
	switch {
	case want.content == "":
		return fmt.Sprintf("purpose %q is not known", r.Purpose)
	case r.Size < 0:
		return fmt.Sprintf("%s is no size", r.Size)
	case !pool.Active:
		return "it is not reachable from the node"
	case !pool.Holds(want.content):
		return fmt.Sprintf("it does not take %s, only %s", want.content, strings.Join(pool.Content, ", "))
	case !pool.works():
		return "its ZFS pool is " + pool.Health
	case r.Storage == "" && pool.Tier == TierUnknown && least != TierUnknown:
		return fmt.Sprintf("its tier is not known, and the slowest allowed tier is %s: %s", least, pool.Why)
	case r.Storage == "" && !pool.Tier.meets(least):
		return fmt.Sprintf("tier %s (%s) is slower than tier %s: %s", pool.Tier, pool.Tier.Media(), least, pool.Why)
	case p.room(pool) < r.Size && pool.Total == 0:
		return "its space is not known"
	case p.room(pool) < r.Size:
		missing := r.Size - p.room(pool)
		return fmt.Sprintf("%s is left, %s is needed: %s would have to move away%s", p.room(pool).Human(), r.Size.Human(), missing.Human(), pool.movable(missing))
	case pool.Thin != nil && pool.Thin.MetadataSize > 0 && pool.Thin.MetadataUsed*10 > pool.Thin.MetadataSize*9:
		return "its thin pool's metadata is more than 90 % full"
	case r.Apart != "" && p.sets["apart "+r.Apart][pool.Name]:
		return "another disk of the set " + r.Apart + " is there, and they must be apart"
	case r.Together != "" && len(p.sets["together "+r.Together]) > 0 && !p.sets["together "+r.Together][pool.Name]:
		return "the other disks of the set " + r.Together + " are on another storage, and all must be together"
	}
	if i := slices.IndexFunc(pool.Disks, Disk.Failing); i >= 0 && !p.opts.Failing {
		return fmt.Sprintf("SMART expects %s to fail", pool.Disks[i].Path)
	}
	return ""
}

// The method "movable" names volumes that would free the missing space if they
// were moved to another storage: the smallest volume that is large enough by
// itself, or else the largest volumes. It returns "" if the volumes are not
// known, or if all of them together are not enough.
func (p Pool) movable(missing Size) string {
	volumes := slices.SortedFunc(slices.Values(p.Volumes), func(a, b Volume) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.ID, b.ID))
	})
	if alone := slices.IndexFunc(volumes, func(v Volume) bool { return v.Size < missing }); alone > 0 {
		volumes = volumes[alone-1:]
	} else if alone < 0 && len(volumes) > 0 {
		volumes = volumes[len(volumes)-1:]
	}
	var names []string
	for _, v := range volumes {
		if missing <= 0 {
			break
		}
		names, missing = append(names, fmt.Sprintf("%s (%s)", v.ID, v.Size.Human())), missing-v.Size
	}
	if missing > 0 || len(names) == 0 {
		return ""
	}
	return ", such as " + strings.Join(names, ", ")
}

// The method "room" returns how much space may still be promised on a pool. It
// is never negative.
func (p *placing) room(pool Pool) Size {
	room := pool.Available
	if pool.Overcommits() {
		limit := Size(float64(pool.Total) * p.opts.Overcommit)
		promised := pool.Used
		if pool.Committed != nil {
			promised = max(promised, *pool.Committed)
		}
		room = limit - promised
		if p.opts.Overcommit == 1 {
			room = min(room, pool.Available)
		}
	}
	return max(room-p.taken[pool.space()], 0)
}
