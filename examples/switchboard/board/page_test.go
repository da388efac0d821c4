package board

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// Without JavaScript, a person can switch by links and forms alone: from the
// page to the question, and back.
func TestAPersonSwitchesByForms(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		page := b.want(http.StatusOK, "Switch to Linux AI", "GET", "/", "").Body.String()
		for _, text := range []string{"GeForce RTX 5070 Ti", "On for 1 min", "service-pool", "Tier 2", "The host is in order", `action="/switch/141"`, `action="/shutdown/140"`} {
			if !strings.Contains(page, text) {
				t.Errorf("the page does not hold %q", text)
			}
		}
		question := b.want(http.StatusOK, "Windows shuts down: whoever sits at it loses their desktop", "GET", "/switch/141", "").Body.String()
		if w := b.want(http.StatusSeeOther, "", "POST", "/switch/141", form(t, question, "/switch/141")); w.Header().Get("Location") != "/" {
			t.Errorf("the form leads to %s", w.Header().Get("Location"))
		}
		time.Sleep(3 * time.Second)
		w := b.want(http.StatusOK, "Switching to Linux AI", "GET", "/", "")
		for _, text := range []string{"Shut down Windows", "of at most 3 min", `max="180"`, "disabled"} {
			if !strings.Contains(w.Body.String(), text) {
				t.Errorf("while it switches, the page does not hold %q:\n%s", text, w.Body)
			}
		}
		if !strings.Contains(w.Body.String(), `<noscript><meta http-equiv="refresh" content="5"></noscript>`) || w.Header().Get("Refresh") != "" {
			t.Error("a browser without JavaScript would not see the end, or any other would lose its place")
		}
		b.want(http.StatusConflict, "Not now: Windows is shutting down", "POST", "/switch/140", "from=140")
		b.want(http.StatusConflict, "Not now", "GET", "/switch/140", "")
		time.Sleep(2 * time.Minute)
		page = b.want(http.StatusOK, "Linux AI has the card.", "GET", "/", "").Body.String()
		if got := b.sim.Running(); !slices.Equal(got, []int{141}) {
			t.Errorf("running: %v", got)
		}
		b.want(http.StatusSeeOther, "", "POST", "/dismiss", form(t, page, "/dismiss"))
		if page := b.ask("GET", "/", "").Body.String(); strings.Contains(page, "has the card.") || strings.Contains(page, "disabled") {
			t.Errorf("after it is dismissed:\n%s", page)
		}
		if len(b.said) != 1 || b.said[0] != "Linux AI has the card." {
			t.Errorf("reported %q", b.said)
		}
	})
}

func TestAPersonShutsDownAndStarts(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		question := b.want(http.StatusOK, "Whoever sits at Windows loses their desktop", "GET", "/shutdown/140", "").Body.String()
		b.want(http.StatusSeeOther, "", "POST", "/shutdown/140", form(t, question, "/shutdown/140"))
		time.Sleep(time.Second)
		b.want(http.StatusOK, "Shutting down Windows", "GET", "/", "")
		time.Sleep(time.Minute)
		page := b.want(http.StatusOK, "Windows is off.", "GET", "/", "").Body.String()
		if len(b.sim.Running()) != 0 {
			t.Errorf("running: %v", b.sim.Running())
		}
		b.want(http.StatusSeeOther, "", "POST", "/switch/140", form(t, page, "/switch/140")) // no system runs, so no question is needed
		time.Sleep(2 * time.Minute)
		b.want(http.StatusOK, "Windows has the card.", "GET", "/", "")
	})
}

// If another system runs by the time a person answers the question, the answer
// changes nothing.
func TestAQuestionThatIsOld(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		question := b.ask("GET", "/switch/141", "").Body.String()
		if err := b.sim.PowerOff(140); err != nil {
			t.Fatal(err)
		}
		b.want(http.StatusConflict, "now nothing runs. Nothing was begun", "POST", "/switch/141", form(t, question, "/switch/141"))
		b.want(http.StatusConflict, "does not say which system", "POST", "/switch/141", "")
		b.want(http.StatusNotFound, "VM 999 is not one of the systems", "GET", "/switch/999", "")
		b.want(http.StatusNotFound, "named by its VMID", "GET", "/switch/windows", "")
		b.want(http.StatusConflict, "No other controller", "GET", "/takeover", "")
		if len(b.sim.Running()) != 0 || len(b.said) != 0 {
			t.Errorf("running: %v, reported %q", b.sim.Running(), b.said)
		}
	})
}

func TestWhyNot(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[1].Config["lock"] = "backup"
	play(t, host, Options{}, func(t *testing.T, b *bench) {
		page := b.want(http.StatusOK, "Off, and cannot start now", "GET", "/", "").Body.String()
		for _, text := range []string{"Why not? 1 reason", "PVE does not start a locked VM", "lock: backup", "To do:"} {
			if !strings.Contains(page, text) {
				t.Errorf("the page does not hold %q", text)
			}
		}
		b.want(http.StatusConflict, "PVE does not start a locked VM", "GET", "/switch/141", "")
	})
}

// If a switch is undone, the page shows an alert that stays until a person
// dismisses it.
func TestASwitchThatGoesBack(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		b.sim.Inject(pvetest.Fault{Kind: pvetest.TaskFails, Task: "qmstart", VMID: 141, Message: "QEMU exited with code 1"})
		b.want(http.StatusSeeOther, "", "POST", "/switch/141", "from=140")
		back := false
		for range 600 {
			if back = back || strings.Contains(b.ask("GET", "/", "").Body.String(), "Go back to Windows"); b.board.jobDone() {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
		page := b.want(http.StatusOK, "Linux AI did not come up. Windows runs again.", "GET", "/", "").Body.String()
		_, alert, _ := strings.Cut(page, `role="alert">`+"\n")
		alert, _, _ = strings.Cut(alert, `id="news"`)
		if !back || !strings.Contains(alert, "Windows runs again") {
			t.Errorf("on the way back: %v; the alert:\n%s", back, alert)
		}
		if !slices.Equal(b.sim.Running(), []int{140}) || !strings.Contains(b.said[0], "VM 140 runs again") {
			t.Errorf("running: %v, reported %q", b.sim.Running(), b.said)
		}
	})
}

// The page shows the lease of a dead controller, and takes the lease over if a
// person confirms.
func TestTakingOver(t *testing.T) {
	t.Parallel()
	host := pair()
	host.VMs[0].Config["description"] = `<!-- proxstation-lease {"owner":"sofa","id":"x","from":140,"to":141,"phase":"stop","ttl":7200000000000} -->`
	play(t, host, Options{}, func(t *testing.T, b *bench) {
		page := b.want(http.StatusOK, "sofa is switching to Linux AI.", "GET", "/", "").Body.String()
		if !strings.Contains(page, "its lease ends in <strong>2 h") || !strings.Contains(page, "Last: Windows is shutting down.") {
			t.Errorf("the page:\n%s", page)
		}
		b.want(http.StatusConflict, "sofa is switching to Linux AI. Nothing was begun.", "POST", "/switch/141", "from=140")
		b.want(http.StatusConflict, `"code":"leased"`, "POST", "/api/switch", `{"vmid":141}`)
		question := b.want(http.StatusOK, "Take over only if you know that this controller is dead", "GET", "/takeover", "").Body.String()
		b.want(http.StatusSeeOther, "", "POST", "/switch/141", form(t, question, "/switch/141"))
		time.Sleep(2 * time.Minute)
		b.want(http.StatusOK, "Linux AI has the card.", "GET", "/", "")
		if state, _ := b.sim.VM(140); strings.Contains(state.Config["description"], "lease") {
			t.Errorf("a lease is left: %q", state.Config["description"])
		}
	})
}

// The page answers while the node hangs, and reports that the node does not
// answer.
func TestANodeThatHangs(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		b.ask("GET", "/", "")
		b.node.mu.Lock()
		b.node.hang = make(chan struct{})
		b.node.mu.Unlock()
		time.Sleep(3 * time.Second)
		began := time.Now()
		page := b.want(http.StatusOK, "pve does not answer", "GET", "/", "").Body.String()
		if time.Since(began) > 5*time.Second || !strings.Contains(page, "What you see of the systems is 7 s old") || !strings.Contains(page, "Windows") {
			t.Errorf("after %s:\n%s", time.Since(began), page)
		}
		b.want(http.StatusBadGateway, "pve does not answer, so nothing was begun", "POST", "/switch/141", "from=140")
		close(b.node.hang)
		synctest.Wait()
		if page := b.ask("GET", "/", "").Body.String(); strings.Contains(page, "does not answer") {
			t.Errorf("once it answers:\n%s", page)
		}
	})
}

// If the program is stopped during a switch, it undoes the switch as
// documented, and viewers see the outcome.
func TestEndingInMidSwitch(t *testing.T) {
	t.Parallel()
	host := pair()
	host.Guests = map[int]pvetest.Guest{140: {Shutdown: 60 * time.Second}}
	play(t, host, Options{}, func(t *testing.T, b *bench) {
		b.want(http.StatusSeeOther, "", "POST", "/switch/141", "from=140")
		time.Sleep(10 * time.Second)
		b.stop()
		b.want(http.StatusServiceUnavailable, "is being stopped", "POST", "/switch/141", "from=140")
		b.board.Close()
		b.want(http.StatusOK, "Windows runs again.", "GET", "/api/status", "")
		if !slices.Equal(b.sim.Running(), []int{140}) || len(b.said) != 1 || !strings.Contains(b.said[0], "Windows runs again") {
			t.Errorf("running: %v, reported %q", b.sim.Running(), b.said)
		}
	})
}

// With -force, a switch cuts the power of a guest that does not shut down, and
// the question warns of this. A shutdown never cuts the power.
func TestTheQuestionNamesThePlug(t *testing.T) {
	t.Parallel()
	play(t, pair(), Options{}, func(t *testing.T, b *bench) {
		for _, force := range []bool{false, true} {
			b.board.duo.Force = force
			if page := b.ask("GET", "/switch/141", "").Body.String(); strings.Contains(page, "as if its plug were pulled") != force {
				t.Errorf("force %v:\n%s", force, page)
			}
			b.want(http.StatusOK, "it stays on, and this page says so", "GET", "/shutdown/140", "")
		}
		b.want(http.StatusRequestEntityTooLarge, "", "POST", "/api/switch", "vmid="+strings.Repeat("1", maxBody))
	})
}
