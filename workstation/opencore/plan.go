package opencore

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
)

// Options holds the caller's additions to a plan. A nil pointer means no
// additions.
type Options struct {
	// Bundles holds kernel extensions to put into the image. A bundle replaces
	// the image's folder at the same path. Nothing is downloaded.
	Bundles []Bundle
	// Identity replaces the image's identity.
	Identity Identity
	// MakeUp is a source of random bytes, such as crypto/rand's Reader. If it
	// is set, the plan contains a made-up identity instead of Identity, and a
	// note that says so. [MakeIdentity] makes up the identity, for the Mac
	// model of the copy. The plan's Mark does not depend on the made-up
	// numbers.
	MakeUp io.Reader
	// Leave holds the IDs of findings for which the plan changes nothing.
	Leave []string
}

// A PlannedChange is one change of config.plist, with the finding that wants
// the change.
type PlannedChange struct {
	Change Change
	// ID, Why and Source are copied from the finding.
	ID, Why, Source string
}

// A Plan holds all changes of an image, as data. Its String is the text that a
// person approves.
type Plan struct {
	// Image describes the image for which the plan was made, in a few words.
	Image string
	// Size is the size of the copy in bytes.
	Size int64
	// Before is the SHA-256 of the uncompressed image for which the plan was
	// made.
	Before string
	// Changes holds the changes of config.plist, in the order in which they are
	// made.
	Changes []PlannedChange
	// Bundles holds the kernel extensions that are put into EFI/OC/Kexts.
	Bundles []Bundle
	// Replaced holds the image's extensions that are removed, because Bundles
	// has an extension with the same path. The whole folder of such an
	// extension is removed, so the list also names the plug-ins in the folder.
	Replaced []Kext
	// Notes holds sentences about the changes for the person who approves the
	// plan.
	Notes []string
	// Findings holds the findings that remain after the plan: faults that
	// config.plist cannot solve, and facts that are worth knowing.
	Findings []Finding

	after []byte // config.plist after the changes
	mark  string // the result of Mark
}

// Mark returns eight hexadecimal digits that depend on the content of the copy:
// on the whole image, the changes and the kernel extensions. They also depend
// on whether an identity is made up, but not on the made-up numbers. A second
// plan for the same image and VM therefore has the mark of the first plan. By
// this mark the caller finds the copy that exists already, and the copy keeps
// its made-up numbers.
func (p Plan) Mark() string { return p.mark }

// setMark computes the mark. The parameter "config" is config.plist after the
// changes, but without the numbers of a made-up identity.
func (p *Plan) setMark(image Image, config []byte, madeUp bool) {
	hash := sha256.New()
	fmt.Fprintf(hash, "%s\x00%d\x00%s\x00%v", image.SHA256, len(config), config, madeUp)
	for _, b := range p.Bundles {
		for _, name := range slices.Sorted(maps.Keys(b.files)) {
			fmt.Fprintf(hash, "\x00%s\x00%d\x00%s", name, len(b.files[name]), b.files[name])
		}
	}
	p.mark = hex.EncodeToString(hash.Sum(nil))[:8]
}

// Empty reports whether the plan changes nothing.
func (p Plan) Empty() bool { return len(p.Changes) == 0 && len(p.Bundles) == 0 }

// Err returns an error if the plan does not remove all blockers: macOS would
// not start, or not accelerate the card. The error matches [ErrBlocked].
func (p Plan) Err() error {
	var why []string
	for _, f := range p.Findings {
		if f.Severity == proxstation.Blocker {
			why = append(why, f.ID+": "+f.Seen)
		}
	}
	if len(why) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrBlocked, strings.Join(why, "; "))
}

// The constant "rounds" limits how often Configure judges the image and adds
// changes, because changes may cause new findings. For example, a card's
// properties are judged only when the extension that reads them is loaded. And
// an empty array gets one new entry in each round.
const rounds = 8

// maxChanges limits the changes in a round. The images that the projects
// publish need fewer than 50.
const maxChanges = 500

// Configure makes a plan of the changes with which an image suits a VM. The
// plan holds three kinds of changes: the changes of [Judge]'s findings with
// severity warning and above, the caller's kernel extensions with their
// entries, and the caller's identity. Configure itself changes nothing. Errors
// match [ErrSameBundle], [ErrIdentity] or [ErrConfig].
func Configure(image Image, machine Machine, o *Options) (Plan, error) {
	if o == nil {
		o = &Options{}
	}
	if err := distinct(o.Bundles); err != nil {
		return Plan{}, err
	}
	plan := Plan{Size: image.Size, Before: image.SHA256, Bundles: o.Bundles,
		Image: fmt.Sprintf("OpenCore %s, %s; for %s, %s", image.Version, image.Layout, machine.Release, purpose(machine))}
	with := image
	with.Kexts = slices.Clone(image.Kexts)
	plan.Replaced = replaced(image, o.Bundles)
	for _, b := range o.Bundles {
		with.Kexts = withKext(with.Kexts, b)
	}
	for range rounds {
		changes := wanted(with, machine, o)
		if len(changes) == 0 {
			break
		}
		if len(changes) > maxChanges {
			return Plan{}, &ConfigError{Why: fmt.Sprintf("%d values would have to change, so this is not a config.plist of OpenCore: take another image", len(changes))}
		}
		if err := plan.add(&with, changes); err != nil {
			return Plan{}, err
		}
	}
	model, serial := genericKey("SystemProductName"), genericKey("SystemSerialNumber")
	if have := with.Config.Get(serial...).Text; !with.Config.Get(model...).Equal(image.Config.Get(model...)) && o.Identity.Serial.IsZero() && o.MakeUp == nil && have != "" && !isPublished(have) {
		plan.Notes = append(plan.Notes, "The Mac's model changes, but its serial number stays, and belongs to the model that the image had.")
	}
	unnamed := with.ConfigText
	if err := plan.identify(&with, machine, o); err != nil {
		return Plan{}, err
	}
	if o.MakeUp == nil {
		unnamed = with.ConfigText
	}
	plan.setMark(image, unnamed, o.MakeUp != nil)
	plan.after, plan.Findings = with.ConfigText, Judge(with, machine)
	return plan, nil
}

func purpose(m Machine) string {
	if m.Mode() == NoCard {
		return "without a card"
	}
	return fmt.Sprintf("%s (%s) at %s", m.Card.Name(), m.Mode(), m.Path())
}

// Returns the changes that findings and bundles want. They are in an order in
// which the indexes of arrays stay right: first changes of existing members,
// then new members at the end, then new members at the beginning.
func wanted(image Image, machine Machine, o *Options) []PlannedChange {
	var list []PlannedChange
	seen := map[string]bool{}
	add := func(c PlannedChange) {
		if key := c.Change.Key.String(); !seen[key] {
			seen[key] = true
			list = append(list, c)
		}
	}
	for _, f := range Judge(image, machine) {
		// A user who sets an identity wants Apple's services. These services
		// want the network card to be built in, so the plan makes this change
		// too.
		services := f.ID == "opencore.network-built-in" && (o.Identity != (Identity{}) || o.MakeUp != nil)
		if f.Severity < proxstation.Warning && !services || slices.Contains(o.Leave, f.ID) {
			continue
		}
		for _, c := range f.Changes {
			add(PlannedChange{c, f.ID, f.Why, f.Source})
		}
	}
	for _, c := range entries(image, o.Bundles) {
		if !slices.ContainsFunc(list, func(other PlannedChange) bool {
			sameEntry := c.Change.Want.Kind == Dict && other.Change.Want.Equal(c.Change.Want)
			return sameEntry || other.Change.Key.String() == c.Change.Key.String()
		}) {
			list = append(list, c)
		}
	}
	rank := func(c PlannedChange) int {
		above, last := c.Change.Key[:len(c.Change.Key)-1], c.Change.Key[len(c.Change.Key)-1]
		switch {
		case image.Config.Get(above...).Kind != Array || c.Change.Have.Kind != Absent:
			return 0
		case last != "0":
			return 1
		}
		return 2
	}
	slices.SortStableFunc(list, func(a, b PlannedChange) int { return rank(a) - rank(b) })
	if repairs := slices.DeleteFunc(slices.Clone(list), func(c PlannedChange) bool { return c.ID != "opencore.type" }); len(repairs) > 0 {
		return repairs // first repair these containers, because other changes may be inside them; the next round makes the other changes
	}
	return list
}

// Adds changes to the plan, and makes them in the image's config.plist.
func (p *Plan) add(image *Image, changes []PlannedChange) error {
	for _, c := range changes {
		if err := writable(image.Config, c.Change); err != nil {
			return err
		}
		text, err := edit(image.ConfigText, c.Change)
		if err != nil {
			return err
		}
		image.ConfigText = text
		p.Changes = append(p.Changes, c)
	}
	var err error
	image.Config, image.Twice, err = parse(image.ConfigText)
	return err
}

// Adds the caller's identity, or a made-up identity, to the plan.
func (p *Plan) identify(image *Image, machine Machine, o *Options) error {
	given := o.Identity
	if o.MakeUp != nil {
		_, address := machine.network()
		var err error
		if given, err = MakeIdentity(image.Config.Get(genericKey("SystemProductName")...).Text, address, o.MakeUp); err != nil {
			return err
		}
	}
	values, err := given.values()
	if err != nil {
		return err
	}
	var changes []PlannedChange
	for _, name := range slices.Sorted(maps.Keys(values)) {
		key := genericKey(name)
		if have := image.Config.Get(key...); !have.Equal(values[name]) {
			changes = append(changes, PlannedChange{Change{key, have, values[name]}, "opencore.identity", "An identity was given.", postInstall + ", universal/iservices"})
		}
	}
	if o.MakeUp != nil && len(changes) > 0 {
		p.Notes = append(p.Notes, "The identity is made up. Before an Apple account is used, look its serial number up on checkcoverage.apple.com: it must be unknown there.")
	}
	return p.add(image, changes)
}
