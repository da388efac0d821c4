package connect

import (
	"context"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Embedded starts the reference host in this process and connects to it over
// real HTTPS, with an API token of root@pam. Its clock runs faster by the
// factor speed.
func Embedded(ctx context.Context, speed float64) (*workstation.Node, *pvetest.Node, error) {
	host := pvetest.Reference()
	token := host.RootTokens[0]
	return embedded(ctx, speed, workstation.Endpoint{Token: "root@pam!" + token.ID + "=" + token.Secret})
}

// EmbeddedAsRoot does what Embedded does, but logs in as root@pam with a
// password. Only that login may set args, a ROM, pinned CPUs and the like.
func EmbeddedAsRoot(ctx context.Context, speed float64) (*workstation.Node, *pvetest.Node, error) {
	return embedded(ctx, speed, workstation.Endpoint{Username: "root@pam", Password: "secret"})
}

func embedded(ctx context.Context, speed float64, login workstation.Endpoint) (*workstation.Node, *pvetest.Node, error) {
	sim := pvetest.New(pvetest.Reference(), &pvetest.Options{Speed: speed}).Start()
	login.URL, login.RootCAs = sim.URL(), sim.CertPool()
	node, err := workstation.Connect(ctx, login, "", nil)
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	return node, sim, nil
}
