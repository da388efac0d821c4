// Package pveschema checks the parameters of Proxmox VE's API as PVE does. It
// uses a compact table of the endpoints that the embedded node serves.
//
// The package's test writes the table (table.txt) from PVE's official API
// description if the test is run with -update. Without -update, the test
// compares the table with the description, if the description is available.
// Rules that the description lacks (the range of n in scsi[n], the formats that
// have only a name) are in ranges.go and formats.go, with their sources.
package pveschema
