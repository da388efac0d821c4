package qmconf

import (
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"strings"
)

// SSHKeys returns the keys in a value of sshkeys.
func SSHKeys(encoded string) []string {
	lines, err := url.PathUnescape(encoded)
	if err != nil {
		return []string{encoded}
	}
	var keys []string
	for line := range strings.Lines(lines) {
		if key := strings.TrimSpace(line); key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// EncodeSSHKeys writes public keys in PVE's form: one key per line, escaped
// like encodeURIComponent. A space becomes %20 and never +.
func EncodeSSHKeys(keys []string) string {
	if len(keys) == 0 {
		return ""
	}
	lines := ""
	for _, key := range keys {
		lines += strings.TrimSpace(key) + "\n"
	}
	return strings.ReplaceAll(url.QueryEscape(lines), "+", "%20")
}

// PublicKeyProblem returns what is wrong with a line that should be a public
// key, or "" for a valid key. The result never contains the line, because
// people paste private keys by mistake.
func PublicKeyProblem(line string) string {
	if strings.Contains(line, "PRIVATE KEY") {
		return "that is a private key: give the one in the .pub file"
	}
	fields := strings.Fields(line)
	for i := range len(fields) - 1 {
		blob, err := base64.StdEncoding.DecodeString(fields[i+1])
		if parts := sshStrings(blob); err == nil && len(parts) > 1 && parts[0] == fields[i] {
			return ""
		}
	}
	return "not a public key: want a line such as ssh-ed25519 AAAA... name"
}

// sshStrings splits a public key into its strings (RFC 4253, section 6.6; RFC
// 4251, section 5). The first string is the type of the key. sshStrings returns
// nil for any other data.
func sshStrings(blob []byte) []string {
	var parts []string
	for len(blob) > 0 {
		if len(blob) < 4 || uint64(binary.BigEndian.Uint32(blob)) > uint64(len(blob)-4) {
			return nil
		}
		n := 4 + int(binary.BigEndian.Uint32(blob))
		parts, blob = append(parts, string(blob[4:n])), blob[n:]
	}
	return parts
}
