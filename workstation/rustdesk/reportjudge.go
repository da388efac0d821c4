package rustdesk

import (
	"fmt"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/internal/printable"
)

// Judge returns the obstacles for a person who connects to the guest: the
// obstacles on the way to the guest, and the obstacles on its screen that
// [Report.Picture] finds. It does no I/O.
func (r Report) Judge() []proxstation.Finding {
	var findings []proxstation.Finding
	add := func(severity proxstation.Severity, id, subject, seen, why, fix string) {
		findings = append(findings, proxstation.Finding{ID: "rustdesk." + id, Severity: severity, Subject: subject, Seen: seen, Why: printable.Sentence(why), Fix: printable.Sentence(fix)})
	}
	if !r.Running {
		add(proxstation.Blocker, "stopped", "service", "RustDesk's service does not run", "nobody can connect", "set RustDesk up with a configuration, which starts the service")
	}
	switch r.Registered {
	case proxstation.No:
		add(proxstation.Blocker, "unregistered", "ID "+string(r.ID), "RustDesk.toml: no key_confirmed or keys_confirmed for the server that is set",
			"the ID server does not know the guest, so that nobody reaches it by its ID, which may still change",
			"let the guest reach its ID server (UDP and TCP port 21116), with a user logged in or a login screen shown, then set it up again")
	case proxstation.Unknown:
		add(proxstation.Info, "unregistered", "ID "+string(r.ID), "it could not be read whether the ID server knows the guest",
			"the ID may still change, or reach nobody", "install RustDesk "+SetsOptions.Since().String()+" or newer, or connect once")
	}
	for _, p := range r.Ports {
		if p.Reached == proxstation.No {
			add(proxstation.Warning, "port", fmt.Sprintf("%s port %d", p.Host, p.Port), "the guest gets no connection to it over TCP",
				"the guest is not found, or its connections are not relayed", "open the port in the firewalls between the guest and the server, and see that hbbs and hbbr run there")
		}
	}
	for _, home := range r.Keeps {
		add(proxstation.Warning, "keeps", home, home+" has RustDesk options of its own, and the service has no keys yet",
			"when the user logs in, RustDesk takes the user's options and gives them to the service", "set RustDesk up again while the user is logged in")
	}
	return append(findings, r.Picture().Findings...)
}
