package rustdesk

import (
	"fmt"
	"slices"
	"testing"
)

// parseWhitelist reads the entries as cidr-utils 0.5.11 reads them.
func TestWhitelistIsReadAsRustDeskReadsIt(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                             "[]",
		",,":                           "[]",
		"10.0.0.0/8,192.168.0.7":       "[10.0.0.0/8 192.168.0.7/32]",
		"10.1.2.3/8":                   "[10.0.0.0/8]",
		"10":                           "[10.0.0.0/8]",
		"10/8":                         "[10.0.0.0/8]",
		"192.168":                      "[192.168.0.0/16]",
		"192.168.5/24":                 "[192.168.5.0/24]",
		"10.0.0.0/255.0.0.0":           "[10.0.0.0/8]",
		"192.168.0.0/255.255.252.0":    "[192.168.0.0/22]",
		"0.0.0.0/0":                    "[0.0.0.0/0]",
		"10.0.0.0/0.0.0.0":             "[0.0.0.0/0]",
		"fd00::/8,fe80::1":             "[fd00::/8 fe80::1/128]",
		"10.0.0.1,0.0.0.0":             "[]", // the result is empty, because everybody gets in
		"10.0.0.1,nonsense":            "[10.0.0.1/32]",
		"10.0.0.1, 10.0.0.2":           "[10.0.0.1/32]", // RustDesk skips the entry with the blank
		"nonsense":                     "[invalid Prefix]",
		"10.0.0.0/33,fd00::/129":       "[invalid Prefix]",
		"10.0.0.0/08":                  "[invalid Prefix]",
		"192.168/8":                    "[invalid Prefix]",
		"10/255.255.0.0":               "[invalid Prefix]",
		"10.0.0.0/255.0.255.0":         "[invalid Prefix]",
		"010.0.0.1,1.2.3.4.5,1.2.3.":   "[invalid Prefix]",
		"fe80::1%eth0,fd00::/255.0.0.": "[invalid Prefix]",
		"256.0.0.0,10.0.0.0/-1,10.0/ ": "[invalid Prefix]",
	} {
		if got := fmt.Sprint(parseWhitelist(text)); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzWhitelist(f *testing.F) {
	f.Add("10.0.0.0/8,192.168,fd00::/8")
	f.Add("10.0.0.0/255.0.0.0,nonsense")
	f.Fuzz(func(t *testing.T, text string) {
		prefixes := parseWhitelist(text)
		c := Config{Access: Access{From: prefixes}}
		if c.Validate() != nil {
			return
		}
		if again := parseWhitelist(c.options()["whitelist"]); !slices.Equal(again, prefixes) {
			t.Errorf("%v became %v", prefixes, again)
		}
	})
}
