package pvetest

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// consoleTime is the time for which PVE waits for a viewer of a console
// (qemu-server PVE/API2/Qemu.pm, vncproxy).
const consoleTime = 10 * time.Second

// vncProxy serves POST vncproxy. It answers with a port and a ticket, but
// nothing listens at the port. The task fails, as it does in PVE when no viewer
// connects.
func (n *Node) vncProxy(c *call, v *vm) (any, error) {
	t, port := n.console(c, v)
	vga, _, _ := strings.Cut(v.config["vga"], ",")
	object := map[string]any{"port": text(port), "upid": t.upid, "user": c.who.user, "cert": string(n.authorityPEM()), "ticket": n.consoleTicket(c)}
	if c.get("generate-password") == "1" || c.get("websocket") == "1" || !strings.HasPrefix(vga, "serial") {
		password := n.uuid()[:8]
		object["ticket"], object["password"] = password+":"+fmt.Sprint(object["ticket"]), password
	}
	return object, nil
}

// termProxy serves POST termproxy. It is like vncProxy, but for a serial
// terminal.
func (n *Node) termProxy(c *call, v *vm) (any, error) {
	t, port := n.console(c, v)
	return map[string]any{"port": text(port), "upid": t.upid, "user": c.who.user, "ticket": n.consoleTicket(c)}, nil
}

// The method "console" starts the task of a console, on the node that the
// client speaks to.
func (n *Node) console(c *call, v *vm) (*task, int) {
	n = c.entry
	t := n.fork("vncproxy", text(v.id), c.who.user)
	n.step(t, consoleTime, func() { n.finish(t, refuse("connection timed out")) })
	n.consoles++
	return t, 5900 + n.consoles%100
}

func (n *Node) consoleTicket(c *call) string {
	return fmt.Sprintf("PVEVNC:%08X::%x", n.now.Unix(), c.number("vmid")+int(n.random.Uint32()))
}

// qemuKey matches the name of a key (QEMU qapi/ui.json, QKeyCode), or several
// names joined with "-".
var qemuKey = regexp.MustCompile(`^([a-z0-9_]+)(-[a-z0-9_]+)*$`)

// sendKey serves PUT sendkey. PVE passes the key to QEMU's monitor, and treats
// any output of the monitor as an error. The embedded node accepts every name
// of the right form.
func (n *Node) sendKey(c *call, v *vm) (any, error) {
	if err := n.await(c, v.id); err != nil {
		return nil, err
	}
	if err := mustRun(v); err != nil {
		return nil, err
	}
	if key := c.get("key"); !qemuKey.MatchString(key) {
		return nil, refuse("unknown key: '%s'", key)
	}
	return null()
}

// monitor serves POST monitor. It knows three commands of QEMU's monitor. For
// all other commands the answer is empty.
func (n *Node) monitor(c *call, v *vm) (any, error) {
	if err := mustRun(v); err != nil {
		return nil, err
	}
	switch command := c.get("command"); command {
	case "info status":
		return "VM status: " + v.qmpStatus() + "\r\n", nil
	case "info version":
		return n.qemu() + "pve-qemu-kvm_" + n.qemu() + "\r\n", nil
	case "info name":
		return v.name() + "\r\n", nil
	default:
		return "", nil
	}
}
