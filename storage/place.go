package storage

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Purpose is what a disk is for. It decides which tier is preferred and
// which is the least.
type Purpose string

// The purposes.
const (
	Boot     Purpose = "boot"     // an operating system
	Firmware Purpose = "firmware" // EFI variables, TPM state: small, with the boot disk
	Data     Purpose = "data"     // a second disk, databases
	Scratch  Purpose = "scratch"  // what may be lost
	Models   Purpose = "models"   // AI models and their cache
	Games    Purpose = "games"    //
	Bulk     Purpose = "bulk"     // media, archives
	Backup   Purpose = "backup"   //
	Image    Purpose = "image"    // ISO images
)

// wants holds what each purpose prefers, the least it takes, and the content
// type that PVE asks of a storage for it. An operating system on a hard disk
// is what people regret, so it is refused unless asked for.
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

// Tiers returns the tier that a purpose is best served by, and the slowest
// that will do; unknown for any. Both are unknown for an unknown purpose.
func (p Purpose) Tiers() (prefer, least Tier) { return wants[p].prefer, wants[p].least }

// A DiskRequest asks for a place for one disk.
type DiskRequest struct {
	// Name is what the disk is called in the answer: "VM 140 scsi0".
	Name    string
	Purpose Purpose
	Size    Size
	// Least is the slowest tier that will do; unknown leaves it to the Purpose.
	Least Tier
	// Storage is the only storage that will do; empty allows any storage.
	Storage string
	// Apart names a set of disks that must all be on different pools; empty
	// means no such condition.
	Apart string
	// Together names a set of disks that must be on the same pool.
	Together string
}

// PlaceOptions control [Place]. Nil is fine.
type PlaceOptions struct {
	// Overcommit is how much may be promised of a pool whose volumes take
	// space only as they are written: 1, which is also what 0 means, promises
	// no more than is there; 2 twice as much.
	Overcommit float64
	// Failing allows pools with a disk that SMART expects to fail.
	Failing bool
}

// A DiskChoice is the place found for a [DiskRequest].
type DiskChoice struct {
	Request DiskRequest
	Pool    string
	Tier    Tier
	// Why says why this pool, for people.
	Why string
	// Refused says why no better pool was taken.
	Refused []PoolRefusal
}

// A PoolRefusal says why a pool was not taken.
type PoolRefusal struct{ Pool, Why string }

// ErrNoPlace means that no pool will do for a request.
var ErrNoPlace = errors.New("no storage will do")

// A NoPlaceError explains, pool by pool, why a request found no place.
type NoPlaceError struct {
	Request DiskRequest
	Refused []PoolRefusal
}

// Error implements error.
func (e *NoPlaceError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "storage: no place for %s (%s, %s)", e.Request.Name, e.Request.Purpose, e.Request.Size.Human())
	for _, r := range e.Refused {
		fmt.Fprintf(&b, "\n  %s: %s", r.Pool, r.Why)
	}
	b.WriteString("\n  free some space, ask for a slower tier, or name a storage")
	return b.String()
}

// Is makes the error match [ErrNoPlace].
func (e *NoPlaceError) Is(target error) bool { return target == ErrNoPlace }

// ErrOvercommit reports a [PlaceOptions].Overcommit that is not above 0.
var ErrOvercommit = errors.New("not a ratio by which storages may be overcommitted")

// Place chooses a pool for every request, in order. The same input gives the
// same answer. For each request without a place the error joins a
// [NoPlaceError]; the choices for the other requests are returned beside it.
func Place(requests []DiskRequest, pools []Pool, opts *PlaceOptions) ([]DiskChoice, error) {
	if opts == nil {
		opts = &PlaceOptions{}
	}
	p := &placing{pools: pools, opts: *opts, taken: map[string]Size{}, sets: map[string]map[string]bool{}}
	p.opts.Overcommit = cmp.Or(p.opts.Overcommit, 1)
	if !(p.opts.Overcommit > 0) || math.IsInf(p.opts.Overcommit, 1) { // no number is not above 0 either
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

// A placing is the work of one Place: what has been promised so far.
type placing struct {
	pools []Pool
	opts  PlaceOptions
	taken map[string]Size            // by Pool.space
	sets  map[string]map[string]bool // pools by set of disks
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

// distance ranks tiers for a purpose: the preferred one, then faster ones from
// the nearest, then slower ones, then those that are not known.
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

// refuse returns why a pool will not do, or "".
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
		return fmt.Sprintf("its tier is not known, and tier %s is the least: %s", least, pool.Why)
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
		return "the set " + r.Together + " is elsewhere, and it must be together"
	}
	if i := slices.IndexFunc(pool.Disks, Disk.Failing); i >= 0 && !p.opts.Failing {
		return fmt.Sprintf("SMART expects %s to fail", pool.Disks[i].Path)
	}
	return ""
}

// movable names volumes that make room for so much when they move away: the
// smallest that does it alone, or else the largest ones. It is empty where they
// are not known, or all of them are not enough.
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

// room returns how much may still be promised of a pool, never less than 0.
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
