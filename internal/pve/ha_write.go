package pve

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The methods in this file need Sys.Console on /. If a digest is given, PVE
// compares it with the digest of the whole configuration file.

func (r HAResource) params() map[string]any {
	params := map[string]any{"state": r.Wanted, "max_restart": r.MaxRestart, "max_relocate": r.MaxRelocate}
	if r.Comment != "" {
		params["comment"] = r.Comment
	}
	if r.Group != "" {
		params["group"] = r.Group
	}
	if r.KnowsFailback {
		params["failback"] = 0
		if r.Failback {
			params["failback"] = 1
		}
	}
	return params
}

// CreateHAResource puts a VM under high availability.
func (c *Client) CreateHAResource(ctx context.Context, r HAResource) error {
	params := r.params()
	params["sid"] = fmt.Sprintf("vm:%d", r.VMID)
	return c.post(ctx, "/cluster/ha/resources", params, nil)
}

// UpdateHAResource changes a VM that is under high availability.
func (c *Client) UpdateHAResource(ctx context.Context, r HAResource) error {
	var remove []string
	if r.Comment == "" {
		remove = append(remove, "comment")
	}
	if r.Group == "" {
		remove = append(remove, "group")
	}
	return c.put(ctx, fmt.Sprintf("/cluster/ha/resources/vm:%d", r.VMID), r.params(), remove, r.Digest)
}

// put sends a PUT request with parameters, the options to delete, and the
// digest.
func (c *Client) put(ctx context.Context, path string, params map[string]any, remove []string, digest string) error {
	if len(remove) > 0 {
		params["delete"] = strings.Join(remove, ",")
	}
	if digest != "" {
		params["digest"] = digest
	}
	return c.call(ctx, http.MethodPut, path, params, nil)
}

func (r HARule) params() map[string]any {
	params := map[string]any{"type": r.Kind, "resources": strings.Join(r.SIDs, ",")}
	if r.Kind == "node-affinity" {
		params["nodes"], params["strict"] = FormatHANodes(r.Nodes), 0
		if r.Strict {
			params["strict"] = 1
		}
	} else {
		params["affinity"] = r.Affinity
	}
	if r.Disabled {
		params["disable"] = 1
	}
	if r.Comment != "" {
		params["comment"] = r.Comment
	}
	return params
}

// CreateHARule makes a rule. PVE 8 has no rules.
func (c *Client) CreateHARule(ctx context.Context, r HARule) error {
	params := r.params()
	params["rule"] = r.Name
	return c.post(ctx, "/cluster/ha/rules", params, nil)
}

// UpdateHARule changes a rule. Its kind cannot change.
func (c *Client) UpdateHARule(ctx context.Context, r HARule) error {
	var remove []string
	if !r.Disabled {
		remove = append(remove, "disable") // PVE treats disable=0 like a missing parameter
	}
	if r.Comment == "" {
		remove = append(remove, "comment")
	}
	return c.put(ctx, "/cluster/ha/rules/"+url.PathEscape(r.Name), r.params(), remove, r.Digest)
}

func (g HAGroup) params() map[string]any {
	params := map[string]any{"nodes": FormatHANodes(g.Nodes), "restricted": 0, "nofailback": 0}
	if g.Restricted {
		params["restricted"] = 1
	}
	if g.NoFailback {
		params["nofailback"] = 1
	}
	if g.Comment != "" {
		params["comment"] = g.Comment
	}
	return params
}

// CreateHAGroup makes a group of nodes. Only PVE 8 has such groups.
func (c *Client) CreateHAGroup(ctx context.Context, g HAGroup) error {
	params := g.params()
	params["group"] = g.Name
	return c.post(ctx, "/cluster/ha/groups", params, nil)
}

// UpdateHAGroup changes a group of nodes.
func (c *Client) UpdateHAGroup(ctx context.Context, g HAGroup) error {
	return c.put(ctx, "/cluster/ha/groups/"+url.PathEscape(g.Name), g.params(), nil, g.Digest)
}
