// Package qmconf reads and writes the notation of PVE's VM configurations
// (qm.conf manual page): property strings, drive slots, QEMU arguments, lists
// of CPUs and of public keys. It compares and merges values so that other
// people's settings stay. It knows nothing of how a VM should be made.
package qmconf
