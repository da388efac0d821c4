// Package file reads and writes the page that describes the workstations of a
// node: pools with their tiers, cards, VMs, who takes turns on a card, how the
// guests are reached, and what the host keeps for them. The page is YAML.
//
// [Parse] is strict: a key that no type has, a value of another kind, a size
// without a unit and a password in plain text are errors, all of them at once,
// each an [Error] with line, column and what is expected. [Page.Spec] makes the
// Spec that workstation.Diff plans, [Source.Set] changes a value and leaves all
// else of the file, comments too, as it is, and [Format] writes a new page.
//
// The keys of the page are the fields of the types here and of the profiles
// that they embed, in small letters with hyphens: HugePages is huge-pages. The
// JSON Schema in docs/homelab.schema.json holds all of them, with their
// comments, for editors.
package file
