package workstation

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/proxstation/proxstation/internal/pve"
)

// leaseSlack is added to the deadline of a phase, to leave time for its
// requests.
const leaseSlack = 30 * time.Second

// leaseTries is the number of times that a write of the lease is tried if the
// node does not answer, or if the VM was changed or locked.
const leaseTries = 60

// place returns the member whose description holds the lease. This is the first
// member, unless that member does not exist or cannot be changed: PVE refuses
// changes to a hibernated VM.
func (s *switching) place() int { return cmp.Or(s.at, s.db.Members[0]) }

// acquire takes the lease. If another controller has the lease, acquire waits
// until this Node has seen the lease unchanged for its whole TTL, then takes it
// over. With db.TakeOver, acquire does not wait.
func (s *switching) acquire(ctx context.Context) error {
	if s.db.NoLease {
		return nil
	}
	var told string
	var other *leasedError // the last lease that was waited for
	for tries := 0; ; {
		err := s.take(ctx)
		switch {
		case err == nil:
			return nil
		case other != nil && ctx.Err() != nil:
			return fmt.Errorf("workstation: %w: %w: %w", ErrLeased, other, context.Cause(ctx))
		case errors.As(err, &other):
			if message := other.waiting(); message != told {
				told = message
				s.enterFor(other.left, PhaseLease, s.place(), message)
			}
		case !errors.Is(err, ErrStale) && !errors.Is(err, ErrLocked) && !uncertain(err) || tries >= leaseTries:
			return fmt.Errorf("workstation: taking the lease on VM %d: %w", s.place(), err)
		case (errors.Is(err, ErrLocked) || uncertain(err) && s.node.vms.Clustered()) && tries == 0: // check whether the same cause would stop the steps that follow
			if _, err := s.check(ctx); errors.Is(err, ErrBlocked) {
				return err
			}
			fallthrough
		default:
			tries++
		}
		if err := pve.Sleep(ctx, time.Second); err != nil {
			if other != nil {
				return fmt.Errorf("workstation: %w: %w: %w", ErrLeased, other, err)
			}
			return err
		}
	}
}

// take writes our lease if no member holds a lease, or if the lease that a
// member holds has expired.
func (s *switching) take(ctx context.Context) error {
	mine := Lease{Owner: s.db.Owner, To: s.to, Phase: PhaseCheck, TTL: time.Minute + leaseSlack}
	var at pve.Config
	var missing error
	s.at = 0
	first := 0 // the first member that exists
	for _, id := range s.db.Members {
		if slices.Contains(s.db.NodesOff, s.node.vms.Home(id)) {
			continue
		}
		config, err := s.node.vms.Config(ctx, id)
		if errors.Is(err, ErrNotFound) {
			missing = err
			continue
		}
		if err != nil {
			return err
		}
		first = cmp.Or(first, id)
		lease, held := readLease(config.Values["description"])
		if held {
			if err := s.outlived(id, lease); err != nil {
				return err
			}
			mine.From = lease.From
			s.left[id] = lease.ID
		}
		if changeable := config.Values["lock"] != "suspended"; changeable && (held || s.at == 0) || id == first {
			at = config
			if changeable {
				s.at = id
			}
		}
	}
	if s.at = cmp.Or(s.at, first); s.at == 0 && missing != nil {
		return missing
	}
	return s.write(ctx, at, mine)
}

// This returns nil if the lease in a member may be replaced: the lease belongs
// to this controller, or has expired, or the caller wants to take it over.
func (s *switching) outlived(id int, lease Lease) error {
	left := s.node.leases.left(id, lease)
	switch {
	case lease.Owner == s.db.Owner || left == 0 || lease.ID == s.db.TakeOver:
		return nil
	case s.db.TakeOver != "":
		return fmt.Errorf("%w: this is not the lease that was to be taken over, so its owner is alive: %v", ErrLeased, &leasedError{lease, left}) //nolint:errorlint // it is not to be waited for
	}
	return &leasedError{lease, left}
}

// write replaces the lease in config by the given lease, but only if the node
// still has that configuration. If the answer is lost, write checks whether the
// lease was written.
func (s *switching) write(ctx context.Context, config pve.Config, lease Lease) error {
	lease.ID = rand.Text()
	description := writeLease(config.Values["description"], lease)
	err := s.node.vms.SetConfig(ctx, s.place(), pve.Change{Set: map[string]string{"description": description}, Digest: config.Digest})
	if uncertain(err) {
		if now, lookErr := s.node.vms.Config(ctx, s.place()); lookErr == nil {
			if written, held := readLease(now.Values["description"]); held && written.ID == lease.ID {
				err = nil
			}
		}
	}
	if err == nil {
		s.held = &lease
		delete(s.left, s.place())
	}
	return err
}

// errOvertaken reports that another controller has taken over the lease and is
// at work.
var errOvertaken = errors.New("that controller is at work now")

// renew extends the lease for the next phase. If another controller has taken
// the lease over, renew fails, and the phase does not begin.
func (s *switching) renew(ctx context.Context, phase Phase, lasts time.Duration) error {
	if s.held == nil {
		return nil
	}
	return until(ctx, time.Minute, func(ctx context.Context) (bool, error) { return s.renewNow(ctx, phase, lasts) })
}

// renewNow tries once to renew the lease.
func (s *switching) renewNow(ctx context.Context, phase Phase, lasts time.Duration) (done bool, err error) {
	if s.held == nil {
		return true, nil
	}
	config, err := s.node.vms.Config(ctx, s.place())
	if uncertain(err) && s.node.vms.IsAway(s.place()) {
		return s.moveLease(ctx, phase, lasts)
	}
	if err != nil {
		return false, err
	}
	lease, held := readLease(config.Values["description"])
	if !held && phase != PhaseRollback { // on the way back, a missing lease is written again
		return false, fmt.Errorf("workstation: %w: the lease was taken out of VM %d", ErrLeased, s.place())
	}
	if !held {
		lease = *s.held
	}
	if lease.ID != s.held.ID {
		return false, fmt.Errorf("workstation: %w: the lease was lost to %s: %w", ErrLeased, lease.Owner, errOvertaken)
	}
	lease.Phase, lease.TTL, lease.From = phase, lasts+leaseSlack, s.from
	err = s.write(ctx, config, lease)
	switch {
	case errors.Is(err, ErrLocked) && held && phase == PhaseRollback:
		return true, nil // a task has the lock, and this switch will end the task; the lease still counts
	case errors.Is(err, ErrStale), errors.Is(err, ErrLocked):
		return false, nil // somebody changed the VM, or a task has locked it: try again
	}
	return err == nil, err
}

// This removes a lease of ours that an earlier switch could not remove. It also
// removes the lease that the caller takes over.
func (s *switching) tidy(ctx context.Context) error {
	if s.db.NoLease {
		return nil
	}
	for _, id := range s.db.Members {
		config, err := s.node.vms.Config(ctx, id)
		if errors.Is(err, ErrNotFound) || uncertain(err) && s.node.vms.IsAway(id) {
			continue // if the member is back, the next switch removes its lease
		}
		if err != nil {
			return err
		}
		if lease, held := readLease(config.Values["description"]); held && (lease.Owner == s.db.Owner || lease.ID == s.db.TakeOver) {
			s.held, s.at = &lease, id
			s.left[id] = lease.ID
		}
	}
	return s.release(ctx)
}

// release removes our lease from the description, even if the caller's context
// has ended. A lease of another controller stays.
func (s *switching) release(ctx context.Context) error {
	if s.held == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err := until(ctx, time.Minute, func(ctx context.Context) (bool, error) {
		done, err := s.remove(ctx, s.place(), s.held.ID)
		if uncertain(err) && s.node.vms.IsAway(s.place()) {
			return false, fmt.Errorf("%w: VM %d is on node %s", errNodeAway, s.place(), s.node.vms.Home(s.place()))
		}
		return done, err
	})
	for id, lease := range s.left {
		if !s.node.vms.IsAway(id) {
			_, _ = s.remove(ctx, id, lease) // a lease that is not removed expires by itself
		}
	}
	return err
}

// errNodeAway reports a node that the cluster has lost sight of.
var errNodeAway = errors.New("the node is away")

// remove tries once to remove a lease from a member's description.
func (s *switching) remove(ctx context.Context, id int, ours string) (done bool, err error) {
	config, err := s.node.vms.Config(ctx, id)
	if err != nil {
		return false, err
	}
	lease, held := readLease(config.Values["description"])
	if !held || lease.ID != ours {
		return true, nil
	}
	change := pve.Change{Set: map[string]string{}, Digest: config.Digest}
	if rest := withoutLease(config.Values["description"]); rest != "" {
		change.Set["description"] = rest
	} else {
		change.Delete = []string{"description"}
	}
	err = s.node.vms.SetConfig(ctx, id, change)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrLocked) {
		return false, nil
	}
	return err == nil, err
}

// moveLease writes the lease into another member, because the node of the
// member that holds it is away. Nobody else can take the lease over meanwhile,
// because no switch begins while a member's node is away. When the node is
// back, the old lease still counts for its TTL, beside the new lease.
func (s *switching) moveLease(ctx context.Context, phase Phase, lasts time.Duration) (done bool, err error) {
	for _, id := range s.db.Members {
		if id == s.place() || s.node.vms.IsAway(id) || slices.Contains(s.db.NodesOff, s.node.vms.Home(id)) {
			continue
		}
		config, err := s.node.vms.Config(ctx, id)
		if err != nil || config.Values["lock"] == "suspended" {
			continue
		}
		if other, held := readLease(config.Values["description"]); held && other.Owner != s.db.Owner {
			return false, fmt.Errorf("workstation: %w: the lease was lost to %s: %w", ErrLeased, other.Owner, errOvertaken)
		}
		lease, from, old := *s.held, s.place(), s.held.ID
		lease.Phase, lease.TTL, lease.From = phase, lasts+leaseSlack, s.from
		s.at = id
		if err := s.write(ctx, config, lease); err != nil {
			s.at = from
			return false, err
		}
		s.left[from] = old
		return true, nil
	}
	return false, nil
}
