package pve

import (
	"context"
)

// A WholeConfig is a VM's configuration. It keeps the values in force apart
// from the values that wait for the next start.
type WholeConfig struct {
	Next    map[string]string // the values from the next start on
	InForce map[string]string // the values until the next start
	Digest  string            // the digest of the whole configuration
}

// WholeConfig reads a VM's configuration in one request. It needs VM.Audit on
// the VM.
func (c *Client) WholeConfig(ctx context.Context, vmid int) (WholeConfig, error) {
	var entries []struct {
		Key            string
		Value, Pending *text
		Delete         number
	}
	if err := c.get(ctx, c.vm(vmid, "/pending"), nil, &entries); err != nil {
		return WholeConfig{}, err
	}
	w := WholeConfig{Next: map[string]string{}, InForce: map[string]string{}}
	for _, e := range entries {
		if e.Value != nil {
			w.InForce[e.Key], w.Next[e.Key] = string(*e.Value), string(*e.Value)
		}
		if e.Pending != nil {
			w.Next[e.Key] = string(*e.Pending)
		}
		if e.Delete.value != 0 {
			delete(w.Next, e.Key)
		}
	}
	w.Digest = w.InForce["digest"]
	for _, config := range []map[string]string{w.Next, w.InForce} {
		delete(config, "digest")
	}
	return w, nil
}
