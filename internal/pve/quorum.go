package pve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/proxstation/proxstation"
)

// Quorate says whether the node that answers is in a part of the cluster that
// has quorum. For a node without a cluster the answer is always yes. Quorate
// needs Sys.Audit on / (pve-manager PVE/API2/Cluster.pm, get_status).
func (c *Client) Quorate(ctx context.Context) (proxstation.Answer, error) {
	var entries []struct {
		Type    string
		Quorate *flag
	}
	if err := c.get(ctx, "/cluster/status", nil, &entries); err != nil {
		return proxstation.Unknown, err
	}
	for _, e := range entries {
		switch {
		case e.Type != "cluster":
		case e.Quorate == nil:
			return proxstation.Unknown, nil
		default:
			return proxstation.AnswerOf(bool(*e.Quorate)), nil
		}
	}
	return proxstation.Yes, nil // a node without corosync has no entry of the type
}

// HARequest returns the requested state of a VM, which the HA manager must
// bring about: "started", "stopped", "disabled" or "ignored". It needs
// Sys.Audit on /.
func (c *Client) HARequest(ctx context.Context, vmid int) (string, error) {
	var resource struct{ State string }
	if err := c.get(ctx, haResource(vmid), nil, &resource); err != nil {
		return "", err
	}
	if resource.State == "" || resource.State == "enabled" {
		return "started", nil // the default (pve-ha-manager PVE/HA/Config.pm)
	}
	return resource.State, nil
}

// RequestHA requests a state of a VM from the HA manager. It needs Sys.Console
// on /. For a VM under high availability, PVE's own start, stop and shutdown
// make a similar request, and need only VM.PowerMgmt. But only RequestHA can
// request "disabled", and only this request ends the state "error"
// (pve-ha-manager PVE/API2/HA/Resources.pm).
func (c *Client) RequestHA(ctx context.Context, vmid int, state string) error {
	return c.call(ctx, http.MethodPut, haResource(vmid), map[string]any{"state": state}, nil)
}

func haResource(vmid int) string {
	return "/cluster/ha/resources/" + url.PathEscape(fmt.Sprintf("vm:%d", vmid))
}
