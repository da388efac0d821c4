// Package install makes VMs that install themselves. Its input is a Spec of
// package workstation and a [Guest] for each new VM. Its result is a guest
// whose agent answers, with its disks, its card and its RustDesk.
//
//	plan, err := install.Diff(spec, guests, facts) // in place of workstation.Diff
//	fmt.Print(plan)                                 // for a person to approve
//	reports, err := install.Apply(ctx, node, plan, nil)
//
// RustDesk is set up last, through the guest's agent. The first logon of Windows
// could start RustDesk's script too, but the VM has no network at that time,
// because Windows' installer would fetch updates for hours. Through the agent,
// RustDesk's password is on no CD, its ID is read immediately, and its set-up can
// be repeated alone.
//
// If no guest has to be set up, a [Plan] does the same as a plan of
// workstation. So a program calls Diff and Apply of this package every time.
// The second time nothing happens.
package install
