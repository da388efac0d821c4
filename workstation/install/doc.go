// Package install makes VMs that install themselves. Its input is a Spec of
// package workstation and a [Guest] for each new VM. Its result is a guest
// whose agent answers, with its disks, its card and its RustDesk.
//
//	plan, err := install.Diff(spec, guests, facts) // in place of workstation.Diff
//	fmt.Print(plan)                                 // for a person to approve
//	reports, err := install.Apply(ctx, node, plan, nil)
//
// If no guest has to be set up, a [Plan] does the same as a plan of
// workstation. So a program calls Diff and Apply of this package every time.
// The second time nothing happens.
package install
