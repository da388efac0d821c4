package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
)

// fields maps each field of the JSON to a pattern for its value. Other programs
// rely on these fields, so entries may be added, but not changed or removed.
var fields = map[string]string{
	"source": `string`, "iommu": `object`, "boot": `object`, "gpus": `list`, "vms": `list`, "disks": `list`, "pools": `list`, "findings": `list`,

	"boot.loader": `unknown|grub|grub under proxmox-boot-tool|systemd-boot under proxmox-boot-tool`, "boot.why": `string`, "boot.file": `string`, "boot.command": `string`,

	"iommu.state": `on|off|unknown`, "iommu.why": `string`, "iommu.interruptRemapping": `yes|no|unknown`,
	"iommu.groups": `list`, "iommu.groups[].id": `number`, "iommu.groups[].devices": `list`, "iommu.groups[].devices[]": address,

	"gpus[].address": address, "gpus[].vendorID": `[0-9a-f]{4}`, "gpus[].deviceID": `[0-9a-f]{4}`, "gpus[].name": `string`,
	"gpus[].family": `string`, "gpus[].functions": `list`, "gpus[].functions[]": address, "gpus[].driver": `string|null`,
	"gpus[].group": `number|null`, "gpus[].isolated": `yes|no|unknown`, "gpus[].blockers": `list`, "gpus[].blockers[]": address,

	"disks[].name": `[a-z0-9]+`, "disks[].model": `string`, "disks[].size": `number`, "disks[].bus": `string`,
	"disks[].tier": `[123]|unknown`, "disks[].why": `string`,

	"pools[].name": `[a-z-]+`, "pools[].type": `[a-z]+`, "pools[].tier": `[123]|unknown`, "pools[].disks": `list`,
	"pools[].disks[]": `[a-z0-9]+`, "pools[].total": `number|null`, "pools[].available": `number|null`, "pools[].why": `string`,

	"vms[].id": `number`, "vms[].name": `string`, "vms[].onBoot": `true|false`, "vms[].hostpci": `list`, "vms[].hostpci[]": `(hostpci[0-9]+|args): .*`,

	"findings[].id": `(iommu|gpu|storage|pve|workstation|inventory)\.[a-z-]+`, "findings[].severity": `info|warning|blocker`, "findings[].subject": `string`,
	"findings[].seen": `string`, "findings[].why": `string`, "findings[].fix": `string`,
}

const address = `[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]`

// walk calls visit for the value at path and for all values below it.
func walk(path string, value any, visit func(path string, value any)) {
	if path != "" {
		visit(path, value)
	}
	switch v := value.(type) {
	case map[string]any:
		for key, inner := range v {
			walk(strings.TrimPrefix(path+"."+key, "."), inner, visit)
		}
	case []any:
		for _, inner := range v {
			walk(path+"[]", inner, visit)
		}
	}
}

// forms returns texts that stand for a value. The pattern of a field must match
// one of them.
func forms(value any) []string {
	switch v := value.(type) {
	case nil:
		return []string{"null"}
	case string:
		return []string{"string", v}
	case float64:
		return []string{"number"}
	case bool:
		return []string{strconv.FormatBool(v)}
	case []any:
		return []string{"list"}
	}
	return []string{"object"}
}

func TestJSONIsStable(t *testing.T) {
	t.Parallel()
	sources := [][]string{{}, {"-embedded"}}
	for _, name := range hosttree.Names() {
		sources = append(sources, []string{"-root", "../../internal/hosttree/hosts/" + name + ".txt"})
	}
	seen := map[string]bool{}
	for _, args := range sources {
		var out bytes.Buffer
		if err := run(t.Context(), append(args, "-json"), &out); err != nil {
			t.Fatal(err)
		}
		var report any
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatal(err)
		}
		walk("", report, func(path string, value any) {
			seen[path] = true
			want, known := fields[path]
			if !known {
				if !strings.HasSuffix(path, "[]") {
					t.Errorf("%v: %s is not among the fields", args, path)
				}
				return
			}
			whole := regexp.MustCompile("^(" + want + ")$")
			if !slices.ContainsFunc(forms(value), whole.MatchString) {
				t.Errorf("%v: %s is %v, want %s", args, path, value, want)
			}
		})
		complete(t, fmt.Sprint(args), report)
	}
	for path := range fields {
		if !seen[path] {
			t.Errorf("no source shows the field %s", path)
		}
	}
}

// complete checks that each object has all fields of its kind.
func complete(t *testing.T, source string, report any) {
	t.Helper()
	check := func(path string, value any) {
		object, ok := value.(map[string]any)
		for field := range fields {
			rest, below := strings.CutPrefix(field, path+".")
			if path == "" {
				rest, below = field, true
			}
			if _, there := object[rest]; ok && below && !there && !strings.ContainsAny(rest, ".[") {
				t.Errorf("%s: an object at %q has no %s", source, path, rest)
			}
		}
	}
	check("", report)
	walk("", report, check)
}

// The documentation of the program names all fields of the JSON, and no others.
func TestJSONIsDocumented(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for line := range strings.Lines(string(source)) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "//\t")
		if !ok || !regexp.MustCompile(`^[a-z]+($|\.|\[)`).MatchString(text) {
			continue
		}
		stem := ""
		for word := range strings.FieldsSeq(text) {
			if rest, ok := strings.CutPrefix(word, "."); ok {
				word = stem + "." + rest
			} else if at := strings.LastIndex(word, "."); at >= 0 {
				stem = word[:at]
			}
			documented[strings.TrimSuffix(word, "[]")] = true
		}
	}
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		isLeaf := fields[field] != "object" && (fields[field] != "list" || fields[field+"[]"] != "")
		if isLeaf && !strings.HasSuffix(field, "[]") && !documented[field] {
			t.Errorf("%s is not documented", field)
		}
		delete(documented, field)
	}
	for field := range documented {
		t.Errorf("%s is documented and not a field", field)
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"json"}, {"-embedded", "-root", "x"}, {"-capture", "x", "-embedded"}, {"-root", "x", "-capture", "y"}, {"-embedded", "-node", "pve"}, {"-embedded", "-embedded-nodes", "2"}, {"-embedded-nodes", "33"}, {"-embedded-nodes", "2", "-describe"}, {"-root", "../../internal/hosttree/hosts/reference.txt", "-ca", "x"}} {
		if err := run(t.Context(), args, io.Discard); err == nil {
			t.Errorf("%v is taken", args)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}
