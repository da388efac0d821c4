package inventory

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/internal/sysfs"
	"github.com/proxstation/proxstation/iommu"
)

// containerFiles is the directory of the host's own containers.
const containerFiles = "etc/pve/lxc"

// A share is a line of a container's configuration that gives the container a
// graphics device of the host's driver.
type share struct {
	container string // the container's ID
	line      string
	key       string // such as "dev0"; empty for a line in LXC's own format, which pct cannot remove
	node      string // such as "dri/renderD128", "dri" or "nvidia0"
	// function is the PCI function of a device node below /dev/dri. It is nil
	// if the share is all of /dev/dri, or if the function is not known.
	function *iommu.Address
}

var (
	containerLine = regexp.MustCompile(`^(dev\d+|mp\d+|lxc\.mount\.entry)\s*[:=]\s*(.*)$`)
	graphicsNode  = regexp.MustCompile(`^(?:/?dev/)(dri(?:/(?:card|renderD)\d+)?|nvidia\d*)(?:[, ]|$)`)
)

// readShares returns the graphics devices that containers of the host use
// (pct.conf(5): dev; lxc.container.conf(5): lxc.mount.entry). If the directory
// of the containers cannot be read, readShares returns nothing and reports no
// problem. In this case, readVMs reports the same problem for the directory of
// the VMs.
func readShares(root fs.FS) []share {
	entries, _ := fs.ReadDir(root, containerFiles)
	var shares []share
	for _, entry := range entries {
		id, isConfig := strings.CutSuffix(entry.Name(), ".conf")
		text, err := fs.ReadFile(root, path.Join(containerFiles, entry.Name()))
		if !isConfig || err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "[") { // the sections of snapshots follow
				break
			}
			m := containerLine.FindStringSubmatch(strings.TrimSpace(line))
			if m == nil {
				continue
			}
			if node := graphicsNode.FindStringSubmatch(strings.TrimPrefix(m[2], "path=")); node != nil {
				s := share{container: id, line: strings.TrimSpace(line), key: m[1], node: node[1]}
				if strings.HasPrefix(m[1], "lxc.") {
					s.key = ""
				}
				target, _, _ := sysfs.Link(root, "sys/class/drm/"+strings.TrimPrefix(node[1], "dri/")+"/device")
				if a, err := iommu.ParseAddress(target); err == nil {
					s.function = &a
				}
				shares = append(shares, s)
			}
		}
	}
	return shares
}

// The method "of" reports whether a share may use a function of the card.
func (s share) of(card gpu.Card) bool {
	switch {
	case s.function != nil:
		return slices.Contains(card.Addresses(), *s.function)
	case strings.HasPrefix(s.node, "nvidia"):
		return card.Model().Vendor == gpu.NVIDIA
	}
	return true
}

// checkShares reports cards that VMs take while containers use them. When the
// VM starts, PVE takes the card from the host's driver. The container then
// loses the card.
func checkShares(shares []share, facts iommu.Facts, node gpu.Node, claims []gpu.Claim) []proxstation.Finding {
	var found []proxstation.Finding
	for _, s := range shares {
		for _, claim := range claims {
			for n, h := range claim.Values {
				card, takes := cardOf(facts, node, h)
				if !takes || n >= len(claim.Keys) || !s.of(card) {
					continue
				}
				fix := fmt.Sprintf("Give the card to one of them: pct set %s --delete %s, or qm set %d --delete %s. Until then stop the container before the VM starts: pct stop %s.", s.container, s.key, claim.VMID, claim.Keys[n], s.container)
				if s.key == "" {
					fix = fmt.Sprintf("Give the card to one of them: take the line out of /etc/pve/lxc/%s.conf, or run qm set %d --delete %s. Until then stop the container before the VM starts: pct stop %s.", s.container, claim.VMID, claim.Keys[n], s.container)
				}
				found = append(found, proxstation.Finding{ID: "inventory.container-card", Severity: proxstation.Warning, Subject: subject(claim.VMID, claim.Keys[n]),
					Seen: fmt.Sprintf("%s of VM %d takes %s; container %s: %s", claim.Keys[n], claim.VMID, card.Address(), s.container, s.line),
					Why:  "PVE takes the card from the host's driver when the VM starts: the container loses it, or the start hangs while the container uses it.", Fix: fix})
			}
		}
	}
	return found
}

// cardOf returns the card whose display controller the value h takes from the
// host.
func cardOf(facts iommu.Facts, node gpu.Node, h gpu.HostPCI) (gpu.Card, bool) {
	if h.MDev != "" || h.KeepDriver {
		return gpu.Card{}, false
	}
	taken := slices.Concat(node.Resolve(h)...)
	for _, card := range gpu.Cards(facts.Functions) {
		if slices.Contains(taken, card.Address()) {
			return card, true
		}
	}
	return gpu.Card{}, false
}
