package rustdesk

import (
	"os"
	"slices"
	"strings"
	"testing"
)

const clonedMain = `enc_id = '00QmFzZQ=='
password = '01aGFzaA=='
salt = 'abcdef'
key_pair = [
    [
    12,
    200,
],
    [7],
]
key_confirmed = true

[keys_confirmed]
rs-ny = true
`

// A cloned guest gets one new ID, in the service's file and in the files of all
// users. It keeps its password.
func TestCloneGetsANewID(t *testing.T) {
	t.Parallel()
	for _, system := range []OS{Linux, MacOS} {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, system)
			g.install("1.4.9")
			g.mark("active")
			g.tool("systemctl", "case $1 in is-active) [ -e \"$D/active\" ] && echo active ;; stop) rm \"$D/active\" ;; enable) touch \"$D/active\" ;; esac")
			g.tool("launchctl", "case $1 in print) [ -e \"$D/active\" ] && echo state = running ;; bootout) rm -f \"$D/active\" ;; bootstrap) touch \"$D/active\" ;; esac")
			g.tool("pkill", "")
			home := map[OS]string{Linux: "/home/ada", MacOS: "/Users/ada"}[system]
			g.state("passwd", "ada:x:1000:1000::/home/ada:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/bash\n")
			g.state("users", "ada 501\nbob 502\n")
			var mains []string
			for _, home := range []string{"", home} {
				path, err := MainFile.Path(system, home)
				g.must(err)
				g.put(path, clonedMain)
				mains = append(mains, g.root+path)
			}
			report, err := g.run(Setup{NewID: true})
			if err != nil || !slices.Contains(report.Changed, "id") || !report.Running {
				t.Fatalf("%+v, %v", report, err)
			}
			for _, main := range mains {
				text, err := os.ReadFile(main)
				g.must(err)
				want := "id = '" + string(report.ID) + "'\npassword = '01aGFzaA=='\nsalt = 'abcdef'\n"
				if strings.TrimSpace(string(text)) != strings.TrimSpace(want) || len(report.ID) != 10 || report.ID[0] != '1' {
					t.Errorf("%s:\n%s, want\n%s", main, text, want)
				}
			}
			if again, err := g.run(Setup{NewID: true}); err != nil || again.ID == report.ID {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func TestCloneThatKeepsItsID(t *testing.T) {
	t.Parallel()
	g := newGuest(t, Linux)
	g.install("1.4.9")
	g.state("id", "123456789\n")
	_, err := g.run(Setup{NewID: true})
	wantStage(t, err, "id")
}
