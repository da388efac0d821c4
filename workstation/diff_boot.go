package workstation

import (
	"maps"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/qmconf"
	"github.com/proxstation/proxstation/storage"
)

// PVE changes the boot order by itself: it adds a new CD drive at the end, and
// removes a deleted drive. If the same request also sets the order, chance
// decides which change comes first (qemu-server PVE/API2/Qemu.pm goes through
// the keys of a Perl hash). So the plan sets a wanted order in a separate step.

// bootAfter returns the boot order that the VM has after PVE has added and
// deleted the drives of this step. If several CD drives are added, their order
// is random, and certain is false.
func (s ChangeVM) bootAfter(boot string) (after string, certain bool) {
	list, ordered := strings.CutPrefix(boot, "order=")
	if !ordered {
		return boot, true
	}
	order := strings.Split(list, ";")
	order = slices.DeleteFunc(order, func(device string) bool { return slices.Contains(s.Delete, device) })
	came := 0
	for _, key := range slices.Sorted(maps.Keys(s.Set)) {
		drive, err := storage.ParseDrive(s.Set[key])
		if qmconf.IsSlot(key) && err == nil && drive.IsCDROM() && !qmconf.IsCloudInit(s.Set[key]) && !slices.Contains(order, key) {
			order, came = append(order, key), came+1
		}
	}
	return "order=" + strings.Join(order, ";"), came < 2
}

// withBoot returns the steps that make this change and then leave the VM with
// the wanted boot order. There are two steps if the change of drives makes PVE
// write another boot order. The second step then sets the wanted order.
func (s ChangeVM) withBoot(want, have string) []ChangeVM {
	delete(s.Set, "boot")
	delete(s.Have, "boot")
	after, certain := s.bootAfter(have)
	switch {
	case want == after && certain:
		return s.unlessEmpty()
	case after == have && certain:
		s.Set["boot"], s.Have["boot"] = want, have
		return s.unlessEmpty()
	}
	second := s
	second.Delete, second.Dropped, second.Password = nil, nil, proxstation.Secret{}
	second.Set, second.Have = map[string]string{"boot": want}, map[string]string{"boot": after}
	second.Notes = map[string]string{"boot": "PVE puts a new CD drive at its end"}
	return append(s.unlessEmpty(), second)
}

func (s ChangeVM) unlessEmpty() []ChangeVM {
	if len(s.Set)+len(s.Delete) == 0 && s.Password.IsZero() {
		return nil
	}
	return []ChangeVM{s}
}

// noteLater adds a note to a key if a running VM uses the new value only after
// its next start.
func (s ChangeVM) noteLater(v VMFacts) {
	for _, key := range slices.Concat(slices.Sorted(maps.Keys(s.Set)), s.Delete) {
		if v.Running && !qmconf.HotPlugs(key, v.now(), s.Set[key]) {
			s.Notes[key] = strings.TrimPrefix(s.Notes[key]+"; at the next start", "; ")
		}
	}
}
