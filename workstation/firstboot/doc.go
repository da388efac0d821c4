// Package firstboot makes the files with which a fresh guest installs itself
// without help: for [Windows11] an answer file and a script, for [LinuxAI] a
// seed that cloud-init reads. Both become a [Seed], a small CD.
//
// The package is pure. It reads no node and changes no node: package install
// brings a Seed to a node, and removes the Seed with its secrets.
//
// Every value is escaped for the format it is written in, or refused with a
// [FieldError].
package firstboot
