package connect

import (
	"context"

	"github.com/proxstation/proxstation/workstation"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Embedded starts the reference host in this process and connects to it over
// real HTTPS, as root@pam's API token. Its clock runs as many times as fast.
func Embedded(ctx context.Context, speed float64) (*workstation.Node, *pvetest.Node, error) {
	host := pvetest.Reference()
	sim := pvetest.New(host, &pvetest.Options{Speed: speed}).Start()
	token := host.RootTokens[0]
	node, err := workstation.Connect(ctx, workstation.Endpoint{
		URL: sim.URL(), Token: "root@pam!" + token.ID + "=" + token.Secret, RootCAs: sim.CertPool(),
	}, "", nil)
	if err != nil {
		sim.Close()
		return nil, nil, err
	}
	return node, sim, nil
}
