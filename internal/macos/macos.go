// Package macos holds the facts about macOS VMs that both the profile and the
// plan use: the SMC's key, slots and processors.
package macos

import (
	"regexp"
	"strings"
)

// These are the slots of OpenCore and of the recovery system.
const (
	OpenCoreSlot = "sata4"
	RecoverySlot = "sata5"
)

// hybridIntel matches the model name of an Intel processor with two kinds of
// cores, or with small cores only (N100, i3-N305). There are such processors
// since the 12th generation. macOS stops because of their topology
// (osx-proxmox-next, planner.py).
var hybridIntel = regexp.MustCompile(`\b1[2-9]th Gen\b|\bi[3579]-(1[2-9]\d{3}|N\d{3})|\bCore\(TM\) (Ultra|[3579] )|\bIntel\(R\) (Processor )?N\d+`)

// KnowsCPU reports whether macOS works with the processor that has this model
// name.
func KnowsCPU(model string) bool {
	return !strings.Contains(model, "AMD") && !hybridIntel.MatchString(model)
}
