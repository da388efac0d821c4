// Package file reads and writes the page that describes the workstations of a
// node: storages with their tiers, cards, VMs, sets that share a card, remote
// access to the guests, and the cards that the host keeps for the guests. The
// page is YAML.
//
// [Parse] is strict. An unknown key, a value of the wrong kind, a size without
// a unit and a password in plain text are errors. Parse reports all errors
// together, each as an [Error] with line, column and the expected value.
// [Page.Spec] makes the Spec from which workstation.Diff plans. [Source.Set]
// changes one value and keeps the other text of the file, so comments stay.
// [Format] writes a new page.
//
// A key of the page is the name of a Go field, in small letters with hyphens:
// the field HugePages has the key huge-pages. The fields are those of the types
// in this package and of the profiles that these types embed. For editors, the
// JSON Schema in docs/homelab.schema.json has all keys with the comments of
// their fields.
package file
