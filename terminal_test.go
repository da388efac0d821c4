package proxstation_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/iommu"
	"github.com/proxstation/proxstation/storage"
	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/access"
	"github.com/proxstation/proxstation/workstation/cluster"
	"github.com/proxstation/proxstation/workstation/file"
	"github.com/proxstation/proxstation/workstation/firstboot"
	"github.com/proxstation/proxstation/workstation/install"
	"github.com/proxstation/proxstation/workstation/inventory"
	"github.com/proxstation/proxstation/workstation/loader"
	"github.com/proxstation/proxstation/workstation/opencore"
	"github.com/proxstation/proxstation/workstation/profile"
	"github.com/proxstation/proxstation/workstation/pvetest"
	"github.com/proxstation/proxstation/workstation/recovery"
	"github.com/proxstation/proxstation/workstation/rustdesk"
)

// evil is a hostile name of a disk, a VM or a guest. It clears the screen, sets
// the window's title, reverses the order of letters, and imitates a line of our
// own output. forged is the beginning of the imitated line.
const (
	evil   = "sda\x1b[2J\x1b]0;t\x07\u009b31m\u202egpj\u2066\x7f\xff\r\n" + forged + "\n" + forged + "\r\t"
	forged = "forged: all is well"
)

// The list "printed" holds a value of every exported type that prints itself.
// It holds a pointer if the type is an error, or if its methods have pointer
// receivers.
var printed = []any{
	proxstation.Answer(0), proxstation.Severity(0), proxstation.Finding{}, proxstation.Secret{},
	gpu.Card{}, gpu.Conflict{}, gpu.Device{}, &gpu.ROMError{}, &gpu.RuleError{}, &gpu.UnsupportedError{}, gpu.Family(0), gpu.Guest(0), gpu.Support(0), gpu.Verdict{},
	iommu.Address{}, iommu.Binding{}, iommu.Class(0), iommu.FileChange{}, &iommu.BindError{}, &iommu.RefusedError{}, &iommu.SharedError{}, iommu.GroupID{},
	iommu.ID(0), iommu.Loader(0), iommu.Model{}, iommu.HostPlan{}, iommu.State(0),
	&storage.NoPlaceError{}, storage.Size(0), storage.Tier(0),
	workstation.StepChange{}, &workstation.BlockedError{}, &workstation.CertificateError{},
	&workstation.InvalidError{}, &workstation.RequestError{}, &workstation.StaleError{}, &workstation.SwitchError{}, &workstation.TakenError{},
	&workstation.TaskError{}, workstation.Endpoint{}, workstation.Lease{}, workstation.Plan{}, workstation.Privilege{}, workstation.Snapshot{}, workstation.VMFacts{},
	&file.Error{}, file.Errors{}, &opencore.BundleError{}, opencore.Change{}, &opencore.ConfigError{}, &opencore.IdentityError{}, &opencore.SameBundleError{}, opencore.Mode(0), opencore.Plan{}, &opencore.ImageError{}, opencore.Key{}, opencore.Kind(0), opencore.Layout{}, opencore.Value{Kind: opencore.Text}, opencore.Value{Kind: opencore.Dict}, opencore.Version{},
	firstboot.Check{}, &firstboot.FieldError{}, firstboot.Seed{}, firstboot.State{},
	&install.GuestError{}, install.Plan{}, &install.SeedError{}, install.SetUp{}, &install.SetupError{},
	cluster.HAKind(0), cluster.HARule{}, cluster.Recovery{}, loader.Copy{}, &loader.SourceError{},
	cluster.Kind{}, &cluster.NoPlaceError{}, cluster.Placement{}, cluster.Plan{}, cluster.State(0),
	access.Plan{}, inventory.Boot{}, inventory.Inventory{}, profile.IGPUMode(0), profile.MacStage(0), pvetest.Request{}, pvetest.Task{}, &pvetest.AgentError{},
	&recovery.ImageError{}, &recovery.ServiceError{}, recovery.Release(0),
	rustdesk.OptionChange{}, &rustdesk.CloneError{}, &rustdesk.SetupError{}, rustdesk.Link{}, rustdesk.Plan{}, rustdesk.Task{}, rustdesk.Version{},
}

// notations holds the types whose String method returns an exact notation for
// programs: configuration values of PVE and kernel arguments.
var notations = []any{gpu.HostPCI{}, gpu.MappingEntry{}, storage.Drive{}, iommu.Cmdline{}}

// If a value holds hostile text, the printed value has this text quoted, and
// has no additional lines.
func TestWhatPrintsItselfOnlyPrints(t *testing.T) {
	t.Parallel()
	for _, value := range printed {
		filled := reflect.New(reflect.TypeOf(value)).Elem()
		filled.Set(reflect.ValueOf(value))
		fill(filled, 0)
		for _, verb := range []string{"%v", "%+v", "%s"} {
			if text := fmt.Sprintf(verb, filled.Interface()); prints(text) != "" {
				t.Errorf("%T: %s: %s of %q", value, prints(text), verb, text)
			}
		}
	}
}

// Every exported type that prints itself is in printed or in notations.
func TestAllThatPrintsItselfIsTried(t *testing.T) {
	t.Parallel()
	surface, err := os.ReadFile("testdata/api.txt")
	if err != nil {
		t.Fatal(err)
	}
	tried, prints := map[string]bool{}, map[string]bool{}
	for _, value := range append(printed, notations...) {
		name := strings.TrimPrefix(fmt.Sprintf("%T", value), "*")
		tried[strings.TrimPrefix(name, "proxstation.")] = true
	}
	for _, match := range regexp.MustCompile(`(?m)^(?:(\S+) )?func \(\w+ \*?(\w+)\) (?:(?:String|Error)\(\) string|Format\(\w+ fmt\.State, \w+ rune\))$`).FindAllStringSubmatch(string(surface), -1) {
		name := match[2]
		if match[1] != "" {
			name = match[1][strings.LastIndex(match[1], "/")+1:] + "." + name
		}
		prints[name] = true
	}
	for name := range prints {
		if !tried[name] {
			t.Errorf("%s prints itself and is not tried", name)
		}
	}
	for name := range tried {
		if !prints[name] {
			t.Errorf("%s is tried and does not print itself", name)
		}
	}
}

// The function "prints" says why a text must not be written to a terminal. It
// returns "" if the text may be written.
func prints(text string) string {
	for _, r := range text {
		if r != '\n' && r != '\t' && !unicode.IsPrint(r) {
			return fmt.Sprintf("it has the character %U", r)
		}
	}
	if strings.HasPrefix(text, forged) || strings.Contains(text, "\n"+forged) {
		return "it has a forged line"
	}
	return ""
}

var errorType = reflect.TypeFor[error]()

// The function "fill" sets every text within a value to evil. It also puts an
// element into every list.
func fill(v reflect.Value, depth int) {
	if depth > 12 || !v.CanSet() {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), depth+1)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), depth+1)
	case reflect.Map:
		key, element := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(element, depth+1)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, element)
	case reflect.Interface:
		if v.Type() == errorType {
			v.Set(reflect.ValueOf(errors.New(evil)))
		} else if v.Type() == reflect.TypeFor[workstation.Step]() {
			step := reflect.New(reflect.TypeFor[workstation.ChangeVM]()).Elem()
			fill(step, depth+1)
			v.Set(step)
		}
	}
}
