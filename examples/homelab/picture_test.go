package main

import (
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/proxstation/proxstation/examples/internal/connect"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

var update = flag.Bool("update", false, "write docs/pictures/plan.txt anew")

const planPicture = "../../docs/pictures/plan.txt"

// The name and the size of a seed depend on its content. The picture shows
// fixed values in their place, so that a changed seed does not change the
// picture.
var (
	seedName = regexp.MustCompile(`(firstboot-[a-z-]+)-[0-9a-f]{12}\.iso`)
	seedSize = regexp.MustCompile(`\d+\.\d KiB: the seed`)
)

// The guide's picture shows the plan of the reference page on the embedded
// node. It is the output on a terminal with 80 columns and without colours.
func TestPictureOfThePlan(t *testing.T) { //nolint:paralleltest // the environment is the test's
	l := newLab(t, pvetest.Reference())
	if code := l.call("", "plan", "-f", l.page); code != connect.Changes {
		t.Fatalf("homelab plan: code %d\n%s", code, l.said)
	}
	have, _, _ := strings.Cut(l.said, "\nNothing was changed.")
	have = seedName.ReplaceAllString(seedSize.ReplaceAllString(have, "80.0 KiB: the seed"), "$1-0123456789ab.iso")
	if *update {
		if err := os.WriteFile(planPicture, []byte(have), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(planPicture)
	if err != nil || string(want) != have {
		t.Errorf("docs/pictures/plan.txt is not what homelab plan shows: go test ./examples/homelab -run TestPictureOfThePlan -update (%v)\n%s", err, have)
	}
}
