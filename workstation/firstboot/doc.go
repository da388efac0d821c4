// Package firstboot makes what a fresh guest needs to install itself without a
// hand on it: for [Windows11] an answer file and a script, for [LinuxAI] a seed
// that cloud-init reads. Both become a [Seed], a small CD.
//
// The package is pure. It reads no node and changes none: package install
// brings a Seed to a node, and removes it with its secrets.
//
// Every value is escaped for where it goes, or refused with a [FieldError].
package firstboot
