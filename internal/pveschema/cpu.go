package pveschema

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Models returns the names of the CPU models for x86-64 that a VM may have on
// PVE 9.2, each with the vendor that /capabilities/qemu/cpu reports. The vendor
// "default" stands for the host's vendor. Source: qemu-server
// PVE/QemuServer/CPUConfig.pm, get_all_cpu_models; and QEMU's own list, which
// PVE prefers to the list in the file.
func Models() map[string]string { return maps.Clone(models()) }

var models = sync.OnceValue(func() map[string]string {
	vendors := map[string]string{}
	for vendor, names := range map[string]string{"GenuineIntel": intelModels, "AuthenticAMD": amdModels, "default": anyModels + " " + abstractModels} {
		for name := range strings.FieldsSeq(names) {
			vendors[name] = vendor
		}
	}
	return vendors
})

// Abstract reports whether PVE defines a CPU model itself, as a level of
// features (builtin_models_by_arch of PVE/QemuServer/CPUConfig.pm).
func Abstract(model string) bool {
	return slices.Contains(strings.Fields(abstractModels), model)
}

const (
	abstractModels = "x86-64-v2 x86-64-v2-AES x86-64-v3 x86-64-v4"
	anyModels      = "kvm32 kvm64 qemu32 qemu64 max host"
	armModels      = "a64fx cortex-a35 cortex-a53 cortex-a55 cortex-a57 cortex-a710 cortex-a72 cortex-a76 neoverse-n1 neoverse-n2 neoverse-v1"
	amdModels      = "athlon phenom Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 EPYC EPYC-IBPB EPYC-v3 EPYC-v4 EPYC-v5 " +
		"EPYC-Rome EPYC-Rome-v2 EPYC-Rome-v3 EPYC-Rome-v4 EPYC-Rome-v5 EPYC-Milan EPYC-Milan-v2 EPYC-Milan-v3 EPYC-Genoa EPYC-Genoa-v2 EPYC-Turin"
	intelModels = "486 pentium pentium2 pentium3 coreduo core2duo Conroe Penryn Nehalem Nehalem-IBRS Westmere Westmere-IBRS " +
		"SandyBridge SandyBridge-IBRS IvyBridge IvyBridge-IBRS Haswell Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS " +
		"Broadwell Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS " +
		"Skylake-Client Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Client-v4 " +
		"Skylake-Server Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Skylake-Server-v4 Skylake-Server-v5 " +
		"Cascadelake-Server Cascadelake-Server-v2 Cascadelake-Server-noTSX Cascadelake-Server-v4 Cascadelake-Server-v5 " +
		"Cooperlake Cooperlake-v2 KnightsMill Icelake-Client Icelake-Client-noTSX Icelake-Server Icelake-Server-noTSX " +
		"Icelake-Server-v3 Icelake-Server-v4 Icelake-Server-v5 Icelake-Server-v6 Icelake-Server-v7 " +
		"SapphireRapids SapphireRapids-v2 SapphireRapids-v3 SapphireRapids-v4 GraniteRapids GraniteRapids-v2 GraniteRapids-v3 " +
		"SierraForest SierraForest-v2 SierraForest-v3 ClearwaterForest"
)

// reportedModels returns the models on which a custom model may be built, in
// PVE's order.
func reportedModels() []string {
	list := strings.Fields(intelModels + " " + amdModels + " " + anyModels + " " + armModels)
	slices.SortFunc(list, func(a, b string) int { return cmp.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return list
}

// vmFlags lists the CPU flags that a VM's configuration may name
// (PVE/QemuServer/CPUFlags.pm).
const vmFlags = "aes, amd-no-ssb, amd-ssbd, hv-evmcs, hv-tlbflush, ibpb, md-clear, nested-virt, pcid, pdpe1gb, spec-ctrl, ssbd, virt-ssbd"

var flagList = sync.OnceValue(func() *regexp.Regexp {
	flag := `[+-](` + strings.ReplaceAll(vmFlags, ", ", "|") + `)`
	return regexp.MustCompile(`^` + flag + `(;` + flag + `)*$`)
})

// errCustomModel reports a CPU model that the cluster's configuration would
// have to define.
var errCustomModel = errors.New("custom CPU model")

// checkCPU checks the keys of a VM's CPU together (validate_vm_cpu_conf of
// PVE/QemuServer/CPUConfig.pm).
func checkCPU(keys map[string]string) error {
	model := keys["cputype"]
	custom, isCustom := strings.CutPrefix(model, "custom-")
	_, known := models()[model]
	switch {
	case model == "":
		return fmt.Errorf("CPU is missing cputype")
	case !isCustom && !known && !slices.Contains(strings.Fields(armModels), model):
		return fmt.Errorf("Built-in cputype '%s' is not defined (missing 'custom-' prefix?)", model) //nolint:staticcheck // PVE's words
	case keys["flags"] != "" && !flagList().MatchString(keys["flags"]):
		return fmt.Errorf("VM-specific CPU flags must be a subset of: %s", vmFlags)
	case keys["reported-model"] != "":
		return fmt.Errorf("Property 'reported-model' not allowed in VM-specific CPU config.") //nolint:staticcheck // PVE's words
	case isCustom:
		return &customModelError{custom}
	}
	return nil
}

type customModelError struct{ name string }

func (e *customModelError) Error() string {
	return fmt.Sprintf("Custom cputype '%s' not found", e.name)
}
func (e *customModelError) Unwrap() error { return errCustomModel }
