// Package qmconf reads and writes the notation of PVE's VM configurations
// (qm.conf manual page): property strings, drive slots, QEMU arguments, lists
// of CPUs and of public keys. It compares and merges values so that settings of
// other people stay. It has no rules for how a VM should be made.
package qmconf
