package browser_test

import (
	"net"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/proxstation/proxstation"
	"github.com/proxstation/proxstation/examples/switchboard/board"
	"github.com/proxstation/proxstation/workstation/pvetest"
)

// live serves a board of an embedded node whose time runs fast.
func live(t *testing.T, host pvetest.Host, opts board.Options) (url string, sim *pvetest.Node, server *httptest.Server) {
	t.Helper()
	node, sim := connect(t, host, &pvetest.Options{Speed: 20})
	url, _, server = serve(t, node, duo, opts)
	return url, sim, server
}

func runs(t *testing.T, sim *pvetest.Node, want ...int) {
	t.Helper()
	if got := sim.Running(); !slices.Equal(got, want) {
		t.Errorf("running: %v, want %v", got, want)
	}
}

// With touch alone, a person sees who would lose the desktop, makes the switch,
// and sees the outcome. The page is not loaded again.
func TestByFinger(t *testing.T) {
	t.Parallel()
	url, sim, _ := live(t, host(), named)
	ctx := tab(t, phone)
	do(t, ctx, chromedp.Navigate(url), says("#system-140", "On for"), chromedp.Evaluate[chromedp.Void](`window.same = true`))
	do(t, ctx, tap("#system-141 button"), says("#dialog", "Windows shuts down: whoever sits at it loses their desktop."), tap("#dialog [data-close]"), gone("#dialog"))
	runs(t, sim, 140)
	do(t, ctx, tap("#system-141 button"), tap("#dialog .danger"), says("#job", "Shut down Windows"), gone("#dialog"),
		says("#news", "Linux AI has the card."), says("#system-141", "On for"), says("#system-140", "Switch to Windows"), tap("#news button"), gone("#news section"))
	runs(t, sim, 141)
	do(t, ctx, tap("#system-141 button"), tap("#dialog .danger"), says("#news", "Linux AI is off."), tap("#system-140 button"), says("#news", "Windows has the card."))
	runs(t, sim, 140)
	if !evaluate[bool](t, ctx, `window.same === true`) {
		t.Error("the page was loaded again")
	}
}

// A person can switch with the keyboard alone. The page shows which element has
// the focus. If this element disappears, another element gets the focus.
func TestByKeyboard(t *testing.T) {
	t.Parallel()
	url, sim, _ := live(t, host(), named)
	ctx := tab(t, desktop)
	do(t, ctx, chromedp.Navigate(url), says("#host", "Tier 3"))
	focus := func() string {
		t.Helper()
		return evaluate[string](t, ctx, `(e => e.matches(":focus-visible") && getComputedStyle(e).outlineStyle === "none" ? "INVISIBLE " + e.outerHTML : (e.innerText || e.localName).trim())(document.activeElement)`)
	}
	var order []string
	for range 5 {
		do(t, ctx, chromedp.KeyEvent(kb.Tab))
		order = append(order, strings.ReplaceAll(focus(), "\n", " "))
	}
	if got := strings.Join(order, ", "); !strings.HasPrefix(got, "Skip to the systems, Shut down Windows, Switch to Linux AI, 1 note") {
		t.Fatalf("tab goes through %s", got)
	}
	back := chromedp.KeyEvent(kb.Tab, chromedp.KeyModifiers(kb.ModifierShift))
	for focus() != "Switch to Linux AI" {
		do(t, ctx, back)
	}
	do(t, ctx, chromedp.KeyEvent(kb.Enter), says("#dialog", "Windows shuts down"))
	if got := focus(); got != "Switch to Linux AI?" {
		t.Errorf("a question opens with the focus on %q", got)
	}
	do(t, ctx, chromedp.KeyEvent(kb.Escape), gone("#dialog"))
	if got := focus(); got != "Switch to Linux AI" {
		t.Errorf("after Escape the focus is on %q", got)
	}
	do(t, ctx, chromedp.KeyEvent(" "), says("#dialog", "Windows shuts down"), chromedp.KeyEvent(kb.Tab))
	if got := focus(); got != "Shut down Windows and start Linux AI" {
		t.Errorf("in the question tab goes to %q", got)
	}
	do(t, ctx, chromedp.KeyEvent(kb.Enter), says("#job", "Switching"), see(`document.activeElement.id === "job-title"`), says("#news", "Linux AI has the card."))
	if got := evaluate[string](t, ctx, `document.activeElement.id`); got != "main" {
		t.Errorf("when the job is over the focus is on %q", got)
	}
	runs(t, sim, 141)
}

// When the page updates itself, the focus, a touched button and unfolded texts
// stay as they are.
func TestWhatSurvivesARenewal(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	url, _, _ := serve(t, s, duo, named)
	ctx := tab(t, desktop)
	do(t, ctx, chromedp.Navigate(url), says("#host", "Tier 3"), click("#host summary"), chromedp.Focus(chromedp.CSS("#system-141 button")))
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`window.button = document.activeElement`))
	r := evaluate[[]float64](t, ctx, `(r => [r.x + r.width / 2, r.y + r.height / 2])(button.getBoundingClientRect())`)
	do(t, ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMousePressed, r[0], r[1], chromedp.ButtonType(input.MouseButtonLeft), chromedp.ClickCount(1)))
	s.change(func(s *scene) {
		s.status.For += time.Hour
		s.status.Members[1].Why = []proxstation.Finding{{ID: "x", Severity: proxstation.Info, Subject: "a", Seen: "b", Why: "c"}}
	})
	do(t, ctx, says("#system-140", "4 h 12 min"), says("#system-141", "Good to know: 1 thing"))
	if !evaluate[bool](t, ctx, `button === document.activeElement && button.isConnected && document.querySelector("#host details").open`) {
		t.Error("the focus or what was unfolded is lost")
	}
	do(t, ctx, chromedp.MouseEvent(input.DispatchMouseEventTypeMouseReleased, r[0], r[1], chromedp.ButtonType(input.MouseButtonLeft), chromedp.ClickCount(1)), says("#dialog", "Windows shuts down"))
}

// Without JavaScript, everything can be done with links and forms.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	url, sim, _ := live(t, host(), named)
	ctx := tab(t, phone)
	do(t, ctx, noScript, chromedp.Navigate(url), says("body", "Look again"), click("#system-141 button"), says("main", "Windows shuts down"),
		click("a.button"), says("#system-140", "On for"), click("#system-141 button"), click(".danger"), says("#job", "Switching to Linux AI"),
		says("#news", "Linux AI has the card."), // the page updates itself while a job is under way
		click("#news button"), gone("#news section"))
	runs(t, sim, 141)
}

// The page shows when the switchboard's server does not answer, and when it
// answers again.
func TestADeadServer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := board.New(t.Context(), s, duo, named)
	t.Cleanup(b.Close)
	server := httptest.NewServer(b.Handler())
	ctx := tab(t, phone)
	do(t, ctx, fixedClock, chromedp.Navigate(server.URL), says("#system-140", "On for"), see(`document.getElementById("link").innerText === ""`))
	address := server.Listener.Addr().String()
	server.CloseClientConnections()
	server.Listener.Close()
	server.CloseClientConnections()
	do(t, ctx, says("#link", "The switchboard does not answer. What you see is from 20:14:07."))
	s.runs(141)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Skipf("the port is taken: %v", err)
	}
	again := httptest.NewUnstartedServer(b.Handler())
	again.Listener.Close()
	again.Listener = listener
	again.Start()
	t.Cleanup(func() { again.CloseClientConnections(); again.Close() })
	do(t, ctx, says("#system-141", "On for"), gone("#link:not(:empty)"))
}

// Login and forms also work under a host name without HTTPS. Most people at
// home use the page in this way. Browsers then send no Sec-Fetch-Site. When the
// session of a browser has ended, the page asks for the secret again.
func TestUnderAName(t *testing.T) {
	t.Parallel()
	opts := named
	opts.Secret, opts.Names = proxstation.NewSecret("correct horse battery"), []string{"cards.lan"}
	at, sim, _ := live(t, host(), opts)
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	ctx := tab(t, phone)
	do(t, ctx, chromedp.Navigate("http://cards.lan:"+u.Port()), says("main", "Secret"), chromedp.SendKeys(chromedp.CSS("#secret"), "wrong\r"), says("#wrong", "not the secret"),
		chromedp.SendKeys(chromedp.CSS("#secret"), "correct horse battery\r"), says("#system-140", "On for"))
	if evaluate[bool](t, ctx, `isSecureContext || document.cookie !== ""`) {
		t.Error("this is no test of a home's network, or a script can read the cookie")
	}
	do(t, ctx, tap("#system-141 button"), tap("#dialog .danger"), says("#news", "Linux AI has the card."))
	runs(t, sim, 141)
	do(t, ctx, call(network.ClearBrowserCookies, cdp.Empty{}), tap("#system-140 button"), says("main", "Secret"))
}

// The page makes no request to other servers. The browser refuses no style or
// script of the page, so its console shows no error.
func TestThePageBringsAllItNeeds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	at, _, _ := serve(t, s, duo, named)
	ctx := tab(t, phone)
	var mu sync.Mutex
	var asked []string
	err := chromedp.Listen(ctx, func(ev any) {
		if e, ok := ev.(*network.EventRequestWillBeSent); ok {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, e.Request.URL)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	do(t, ctx, call(network.Enable, network.EnableParams{}), onNewDocument(`window.wrong = [];
		document.addEventListener("securitypolicyviolation", e => wrong.push(e.violatedDirective + " " + e.blockedURI));
		window.addEventListener("error", e => wrong.push(e.message));
		window.addEventListener("unhandledrejection", e => wrong.push(String(e.reason)))`),
		chromedp.Navigate(at), says("#host", "Tier 3"), click("#system-141 button"), says("#dialog", "whoever"))
	if wrong := evaluate[[]string](t, ctx, `wrong`); len(wrong) > 0 {
		t.Errorf("the browser refuses %q", wrong)
	}
	do(t, ctx, chromedp.Evaluate[chromedp.Void](`document.body.append(Object.assign(document.createElement("script"), {textContent: "window.inline = true"}))`),
		see(`wrong.length === 1 && window.inline === undefined`)) // window.inline is undefined, because the inline script was refused
	mu.Lock()
	defer mu.Unlock()
	if len(asked) < 4 {
		t.Errorf("only %d requests were seen", len(asked))
	}
	for _, u := range asked {
		if !strings.HasPrefix(u, at) {
			t.Errorf("the page asks %s", u)
		}
	}
}

// tap touches the middle of an element.
func tap(selector string) action { return pointed(selector, chromedp.TapXY) }
