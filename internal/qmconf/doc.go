// Package qmconf knows the notation of PVE's VM configurations (qm.conf manual
// page): property strings, drive slots, QEMU arguments, lists of CPUs and of
// public keys. It compares and merges values, so that what others set beside
// our values stays. It knows nothing of what a VM should be.
package qmconf
