package pve

import (
	"context"
	"fmt"
	"regexp"
	"slices"
)

// cardDevice matches the device nodes through which a container uses a graphics
// card. They are in a devN key, a mount entry or a mount point.
var cardDevice = regexp.MustCompile(`(?:/dev/|\bdev/)(dri(?:/[a-zA-Z0-9]+)?|nvidia[a-zA-Z0-9-]*|kfd)\b`)

// anything holds a value of any kind, as text. LXC's raw keys have a list of
// pairs as their value. The values of other keys are text or numbers.
type anything string

func (a *anything) take(value any) bool {
	*a = anything(fmt.Sprint(value))
	return true
}

// ContainerCards returns the device nodes of graphics cards in a container's
// configuration, each device node once: "/dev/dri/renderD128", "/dev/nvidia0".
// It needs VM.Audit on the container.
func (c *Client) ContainerCards(ctx context.Context, vmid int) ([]string, error) {
	config := map[string]anything{}
	if err := c.get(ctx, c.here("/lxc/%d/config", vmid), nil, &config); err != nil {
		return nil, err
	}
	var found []string
	for key, value := range config {
		if key == "description" {
			continue
		}
		for _, match := range cardDevice.FindAllStringSubmatch(string(value), -1) {
			found = append(found, "/dev/"+match[1])
		}
	}
	slices.Sort(found)
	return slices.Compact(found), nil
}
