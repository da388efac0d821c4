// Package install makes VMs that install themselves. Its input is a Spec of
// package workstation and a [Guest] for each new VM. Its result is a guest
// whose agent answers, with its disks, its card and its RustDesk.
//
//	plan, err := install.Diff(spec, guests, facts) // in place of workstation.Diff
//	fmt.Print(plan)                                 // for a person to approve
//	reports, err := install.Apply(ctx, node, plan, nil)
//
// RustDesk comes last and through the guest's agent, although the first logon of
// Windows could start its script: the VM has no network at that time, because
// Windows' installer would fetch updates for hours. Through the agent, RustDesk's
// password is on no CD, its ID is read at once, and its set-up can be repeated
// alone.
//
// If no guest has to be set up, a [Plan] does the same as a plan of
// workstation. So a program calls Diff and Apply of this package every time.
// The second time nothing happens.
package install
