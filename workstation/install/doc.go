// Package install makes VMs that install themselves: from a Spec of package
// workstation and a [Guest] for each VM that is new, to a guest that answers, has
// its disks, its card and its RustDesk.
//
//	plan, err := install.Diff(spec, guests, facts) // in place of workstation.Diff
//	fmt.Print(plan)                                 // what a person approves
//	reports, err := install.Apply(ctx, node, plan, nil)
//
// A [Plan] of which no guest has to be set up does what workstation's own plan
// does. So a program calls Diff and Apply of this package every time, and the
// second time nothing happens.
package install
