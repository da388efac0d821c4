package qmconf

import "regexp"

var mappingID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]+$`)

// IsMappingID reports whether a text can be the name of a resource mapping
// (pve-common PVE/JSONSchema.pm, pve-configid).
func IsMappingID(text string) bool { return mappingID.MatchString(text) }
