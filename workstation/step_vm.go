package workstation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/privilege"
	"github.com/proxstation/proxstation/internal/pve"
	"github.com/proxstation/proxstation/internal/qmconf"
)

// CreateVM is the step that makes a VM with all its disks.
type CreateVM struct {
	VMID   int
	Name   string
	Config map[string]string // the configuration in the request to PVE
	Notes  map[string]string // by key, the reason for its value
	// Password is sent together with Config, as cipassword. A zero Password is
	// not sent.
	Password proxstation.Secret
	// OSK is sent in place of "osk=[secret]" in args.
	OSK proxstation.Secret
}

func (s CreateVM) outcome() outcome {
	return outcome{set: revealOSK(s.Config, s.OSK), password: !s.Password.IsZero()}
}

func (s CreateVM) change() StepChange {
	c := StepChange{Sign: SignAdd, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name)}
	for _, key := range slices.Sorted(maps.Keys(s.Config)) {
		switch key {
		case "name":
		case "args":
			c.Lines = append(c.Lines, argLines("", s.Config[key], s.Notes[key])...)
		default:
			c.Lines = append(c.Lines, StepLine{Sign: SignAdd, Key: key, Want: s.Config[key], Note: s.Notes[key]})
		}
	}
	c.Lines = append(c.Lines, passwordLines(s.Password)...)
	c.Needs = append(privileges(s.VMID, s.Config, nil, true), Privilege{vmPath(s.VMID), "VM.Allocate"})
	c.RootTicket = privilege.RootOnly(s.Config, nil)
	return c
}

func (s CreateVM) apply(ctx context.Context, a *applier) error {
	done, err := s.done(ctx, a)
	if done || err != nil {
		return err
	}
	a.say(s.VMID, "creating VM %d %s", s.VMID, s.Name)
	task, err := a.pve.Create(ctx, s.VMID, withPassword(revealOSK(s.Config, s.OSK), s.Password))
	if err == nil {
		err = a.wait(ctx, s.VMID, task)
	}
	switch {
	case err == nil:
		return a.verify(ctx, s.VMID, s.outcome())
	case !uncertain(err):
		return err
	}
	if done, lookErr := s.done(ctx, a); done || lookErr != nil {
		return lookErr
	}
	return err
}

// done reports whether the VM exists as this step would make it.
func (s CreateVM) done(ctx context.Context, a *applier) (bool, error) {
	config, err := a.current(ctx, s.VMID)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case config.Next["name"] != s.Name:
		return false, &TakenError{VMID: s.VMID, Want: s.Name, Have: config.Next["name"]}
	}
	if keys := s.outcome().unmet(config); len(keys) > 0 {
		return false, fmt.Errorf("workstation: VM %d exists, and its %s is %q, not as planned: observe and plan again: %w",
			s.VMID, keys[0], shown(keys[0], config.Next[keys[0]]), ErrStale)
	}
	a.digests[s.VMID] = config.Digest
	return true, nil
}

// ChangeVM is the step that changes keys of a VM's configuration. A key that is
// a drive may add a disk.
type ChangeVM struct {
	VMID   int
	Name   string
	Digest string            // the digest of the configuration from which the plan was made
	Set    map[string]string // keys and their new values
	Delete []string          // keys that are deleted
	// Dropped names the properties that are removed from values of Set, in the
	// form "hostpci0.x-vga".
	Dropped []string
	Have    map[string]string // the present values of the keys that change
	Notes   map[string]string
	// Exact says that the values in Set are complete: the step removes
	// properties that other people added. Without Exact, the step keeps these
	// properties. It is done as soon as every property in Set has its value.
	Exact bool
	// Password is sent together with Set, as cipassword. A zero Password is not
	// sent.
	Password proxstation.Secret
	// OSK is sent in place of "osk=[secret]" in args.
	OSK proxstation.Secret
}

func (s ChangeVM) outcome() outcome {
	return outcome{set: revealOSK(s.Set, s.OSK), exact: s.Exact, absent: slices.Concat(s.Delete, s.Dropped), password: !s.Password.IsZero()}
}

func (s ChangeVM) change() StepChange {
	c := StepChange{Sign: SignModify, Object: fmt.Sprintf("VM %d %s", s.VMID, s.Name)}
	for _, key := range slices.Sorted(maps.Keys(s.Set)) {
		if key == "args" {
			lines := argLines(s.Have[key], s.Set[key], s.Notes[key])
			if len(lines) == 0 {
				lines = keyLines(s.Set[key])
			}
			c.Lines = append(c.Lines, lines...)
			continue
		}
		line := StepLine{Sign: SignModify, Key: key, Have: s.Have[key], Want: s.Set[key], Note: s.Notes[key]}
		if line.Have == "" {
			line.Sign = SignAdd
		}
		c.Lines = append(c.Lines, line)
	}
	for _, key := range s.Delete {
		c.Lines = append(c.Lines, StepLine{Sign: SignDestroy, Key: key, Have: s.Have[key], Note: s.Notes[key]})
	}
	c.Lines = append(c.Lines, passwordLines(s.Password)...)
	old := maps.Clone(s.Have)
	maps.DeleteFunc(old, func(_, value string) bool { return value == "" })
	c.Needs = privileges(s.VMID, s.Set, old, false)
	c.RootTicket = privilege.RootOnly(s.Set, old)
	return c
}

func (s ChangeVM) apply(ctx context.Context, a *applier) error {
	config, err := a.current(ctx, s.VMID)
	if err != nil {
		return err
	}
	if len(s.outcome().unmet(config)) == 0 {
		a.digests[s.VMID] = config.Digest
		return nil
	}
	if err := a.fresh(s.VMID, s.Digest, config); err != nil {
		return err
	}
	a.say(s.VMID, "changing %s of VM %d", strings.Join(append(slices.Sorted(maps.Keys(s.Set)), s.Delete...), ", "), s.VMID)
	task, err := a.pve.ChangeConfig(ctx, s.VMID, pve.Change{Set: withPassword(revealOSK(s.Set, s.OSK), s.Password), Delete: s.Delete, Digest: config.Digest})
	if err == nil && task != "" {
		err = a.wait(ctx, s.VMID, task)
	}
	if err != nil && !uncertain(err) {
		return a.refused(ctx, s.VMID, config.Digest, err)
	}
	if verifyErr := a.verify(ctx, s.VMID, s.outcome()); verifyErr != nil {
		return errors.Join(err, verifyErr)
	}
	return nil
}

// privileges returns the privileges that PVE asks for when a login sets,
// changes or deletes values. If makes is true, the VM is new.
func privileges(vmid int, set, old map[string]string, makes bool) (needs []Privilege) {
	for _, p := range privilege.Of(vmid, set, old, makes) {
		needs = append(needs, Privilege(p))
	}
	return needs
}

func vmPath(vmid int) string { return fmt.Sprintf("/vms/%d", vmid) }

const passwordKey = qmconf.PasswordKey

// withPassword returns the values to send, with the password among them.
func withPassword(values map[string]string, password proxstation.Secret) map[string]string {
	if password.IsZero() {
		return values
	}
	sent := map[string]string{passwordKey: password.Reveal()}
	for key, value := range values {
		sent[key] = value
	}
	return sent
}

func passwordLines(password proxstation.Secret) []StepLine {
	if password.IsZero() {
		return nil
	}
	return []StepLine{{Sign: SignAdd, Key: passwordKey, Want: password.String()}}
}
