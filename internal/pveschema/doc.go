// Package pveschema checks the parameters of Proxmox VE's API as PVE does,
// from a compact table of the endpoints that the embedded node serves.
//
// The table (table.txt) is written from PVE's official API description by the
// package's test with -update, and compared with it wherever the description
// is at hand. What it does not say (the range of n in scsi[n], the formats that
// have only a name) stands in ranges.go and formats.go, with its source.
package pveschema
