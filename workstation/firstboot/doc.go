// Package firstboot makes the files with which a new guest installs itself
// without help. For [Windows11] these are an answer file and a script, and for
// [LinuxAI] a seed that cloud-init reads. Both become a [Seed], a small CD.
//
// The package does no I/O with a node: package install brings a Seed to a node,
// and later removes the Seed with its secrets.
//
// Every value is escaped for the format in which it is written, or refused with
// a [FieldError].
package firstboot
