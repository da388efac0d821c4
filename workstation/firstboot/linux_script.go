package firstboot

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

// These are the paths of the set-up in a Linux guest.
const (
	// LinuxState is the file in which the set-up records its phase.
	// [ParseState] reads it.
	LinuxState = "/var/lib/proxstation/firstboot.state"
	// LinuxLog is the file with the output of the set-up's programs.
	LinuxLog = "/var/log/proxstation-firstboot.log"

	linuxScript = "/usr/local/sbin/proxstation-firstboot"
	linuxUnit   = "proxstation-firstboot.service"
	driverKey   = "/etc/apt/keyrings/proxstation-driver.asc"
)

// LinuxAgain returns the command that starts the set-up of a Linux guest once
// more. Work that is already done is not repeated.
func LinuxAgain() []string { return []string{"systemctl", "--no-block", "restart", linuxUnit} }

const unitText = `[Unit]
Description=First set-up of this guest
Wants=network-online.target
After=network-online.target cloud-init.service

[Service]
Type=oneshot
ExecStart=` + linuxScript + `
StandardOutput=append:` + LinuxLog + `
StandardError=inherit
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
`

//go:embed scripts/linux.sh
var linuxTemplate string

// Returns the program that sets the guest up. All paths in it are below root,
// which is "" in a real guest.
func (g LinuxAI) script(root string) (string, error) {
	t, err := template.New("linux.sh").Funcs(template.FuncMap{"sh": quoteSh, "join": strings.Join, "hasSuffix": strings.HasSuffix}).Parse(linuxTemplate)
	if err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, struct {
		LinuxAI
		Root, Key, State, Unit string
	}{g, root, driverKey, LinuxState, linuxUnit}); err != nil {
		return "", fmt.Errorf("firstboot: %w", err)
	}
	return b.String(), nil
}

// quoteSh quotes a word for sh. Within ' quotes only another ' is special
// (POSIX, Shell Command Language 2.2.2).
func quoteSh(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
