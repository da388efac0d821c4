package iommu

import (
	"reflect"
	"testing"

	"github.com/proxstation/proxstation/internal/hosttree"
)

// The index finds the same function as a search through the list. It is not
// used any more if the list of functions has changed.
func TestTheIndexAnswersAsASearchDoes(t *testing.T) {
	t.Parallel()
	for _, name := range hosttree.Names() {
		tree, err := hosttree.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		indexed, err := Read(tree)
		if err != nil {
			t.Fatal(err)
		}
		searched := indexed
		searched.index = nil
		if indexed.index.of(indexed.Functions) == nil {
			t.Errorf("%s: there is no index", name)
		}
		want, _ := searched.grouped()
		if got, _ := indexed.grouped(); got != want {
			t.Errorf("%s: grouped %s with the index, %s without", name, got, want)
		}
		for _, fn := range append(indexed.Functions, Function{Address: mustAddress("ffff:1f:00.0")}) {
			for what, pair := range map[string][2]any{
				"position": {indexed.position(fn.Address), searched.position(fn.Address)},
				"slot":     {indexed.Slot(fn.Address), searched.Slot(fn.Address)},
				"virtual":  {indexed.VirtualFunctions(fn.Address), searched.VirtualFunctions(fn.Address)},
				"group":    {indexed.inGroup(fn.Group), searched.inGroup(fn.Group)},
			} {
				if !reflect.DeepEqual(pair[0], pair[1]) {
					t.Errorf("%s, %s, %s: %v with the index, %v without", name, fn.Address, what, pair[0], pair[1])
				}
			}
		}
		indexed.Functions = append(indexed.Functions, Function{Address: mustAddress("ffff:1f:00.0")})
		if _, ok := indexed.Function(mustAddress("ffff:1f:00.0")); !ok {
			t.Errorf("%s: a function that came later is not found", name)
		}
	}
}
