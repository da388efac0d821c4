package browser_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/proxstation/proxstation/examples/switchboard/board"
	"github.com/proxstation/proxstation/workstation"
)

// required says that a missing browser must fail the tests instead of skipping
// them.
var required = os.Getenv("PROXSTATION_BROWSER") == "required"

// chromium starts the browser that all tests share. Each test uses its own
// profile in this browser.
var chromium = sync.OnceValues(func() (context.Context, error) {
	path, err := exec.LookPath("chromium")
	if err != nil {
		path, err = exec.LookPath("google-chrome")
	}
	if err != nil {
		return nil, err
	}
	fonts, err := filepath.Abs("testdata/fonts.conf")
	if err != nil {
		return nil, err
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, // in CI, root has no user namespaces
		chromedp.Env("FONTCONFIG_FILE="+fonts), chromedp.Flag("font-render-hinting", "none"), chromedp.Flag("disable-lcd-text", true),
		chromedp.Flag("force-prefers-reduced-motion", true), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("host-resolver-rules", "MAP *.lan 127.0.0.1"))
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx)
	return ctx, chromedp.Do(ctx)
})

func TestMain(m *testing.M) {
	code := m.Run()
	if ctx, err := chromium(); err == nil {
		_ = chromedp.Cancel(ctx)
	}
	os.Exit(code)
}

// A screen is a kind of device on which people see the page.
type screen struct {
	width, height int64
	scale         float64
	touch, dark   bool
}

var (
	phone   = screen{width: 390, height: 844, scale: 1.5, touch: true}
	desktop = screen{width: 1100, height: 800, scale: 1}
	// The screen small is 320 pixels wide, the width that WCAG 2.2 requires in
	// its criterion Reflow.
	small = screen{width: 320, height: 568, scale: 2, touch: true}
)

func (s screen) inDark() screen { s.dark = true; return s }

func (s screen) String() string {
	name := "desktop"
	if s.touch {
		name = "phone"
	}
	if s.dark {
		return name + "-dark"
	}
	return name + "-light"
}

// tab opens an empty tab in a new profile.
func tab(t *testing.T, s screen) context.Context {
	t.Helper()
	parent, err := chromium()
	if err != nil {
		if required {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ctx, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	ctx, timeout := context.WithTimeout(ctx, time.Minute)
	t.Cleanup(timeout)
	do(t, ctx, s.emulate())
	return ctx
}

// emulate makes a tab behave as on this screen.
func (s screen) emulate() action {
	scheme := "light"
	if s.dark {
		scheme = "dark"
	}
	view := []chromedp.EmulateViewportOption{chromedp.EmulateScale(s.scale)}
	if s.touch {
		view = append(view, chromedp.EmulateMobile, chromedp.EmulateTouch, chromedp.EmulatePortrait)
	}
	return chromedp.Steps(chromedp.EmulateViewport(s.width, s.height, view...),
		call(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}))
}

type action = chromedp.Action[chromedp.Void]

func do(t *testing.T, ctx context.Context, actions ...action) {
	t.Helper()
	if err := chromedp.Do(ctx, actions...); err != nil {
		text, _ := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body?.innerText ?? ""`))
		t.Fatalf("%v; the page says:\n%s", err, text)
	}
}

func evaluate[T any](t *testing.T, ctx context.Context, expression string, opts ...chromedp.EvaluateOption) T {
	t.Helper()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, opts...))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// call sends a command of the browser's protocol.
func call[P, R any](command cdp.Command[P, R], params P) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, command, params)
		return err
	})
}

// The function "see" waits until a JavaScript expression is true, even if
// another page is loaded meanwhile.
func see(expression string) action {
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		return poll(ctx, expression, func() bool {
			yes, err := chromedp.Evaluate[bool](expression)(ctx, t)
			return err == nil && yes
		})
	})
}

// poll calls the function "done" until it returns true.
func poll(ctx context.Context, what string, done func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, fmt.Errorf("not seen: %s", what))
	defer cancel()
	ticks := time.NewTicker(30 * time.Millisecond)
	defer ticks.Stop()
	for !done() {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// The function "says" waits until the page shows a text. The selector matches
// the element in which the text must be.
func says(selector, text string) action {
	return see(`[...document.querySelectorAll(` + quote(selector) + `)].some(e => e.checkVisibility() && e.innerText.includes(` + quote(text) + `))`)
}

// The function "gone" waits until the page shows no element that the selector
// matches.
func gone(selector string) action {
	return see(`![...document.querySelectorAll(` + quote(selector) + `)].some(e => e.checkVisibility())`)
}

func quote(s string) string { return "`" + strings.ReplaceAll(s, "`", "\\`") + "`" }

// click clicks in the middle of the first matching element, once the element is
// visible.
func click(selector string) action {
	return pointed(selector, func(x, y float64) action { return chromedp.MouseClickXY(x, y) })
}

// pointed calls the function "point" with the coordinates of an element's
// middle.
func pointed(selector string, point func(x, y float64) action) action {
	find := `(() => {
		const e = document.querySelector(` + quote(selector) + `);
		e.scrollIntoView({block: "center", behavior: "instant"});
		const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
		const painted = performance.getEntriesByName("first-contentful-paint").length > 0; // before, browsers drop clicks
		return painted && e.contains(document.elementFromPoint(x, y)) && !e.disabled ? [x, y] : [];
	})()`
	return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		return poll(ctx, "to click: "+selector, func() bool {
			at, err := chromedp.Evaluate[[]float64](find)(ctx, t)
			if err != nil || len(at) == 0 {
				return false
			}
			_, err = point(at[0], at[1])(ctx, t)
			return err == nil
		})
	})
}

// noScript is an action that turns JavaScript off.
var noScript = call(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})

// onNewDocument runs a script in each new page. The script runs before the
// page's own scripts.
func onNewDocument(script string) action {
	return call(page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
}

// fixedClock is an action that makes the page's clock stand still.
var fixedClock = onNewDocument(`Date.prototype.toLocaleTimeString = () => "20:14:07"`)

// serve starts a server with a new board for a node. It returns the board's
// URL, the board and the server.
func serve(t *testing.T, node board.Node, duo workstation.DualBoot, opts board.Options) (url string, b *board.Board, server *httptest.Server) {
	t.Helper()
	b = board.New(t.Context(), node, duo, opts)
	server = httptest.NewServer(b.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		b.Close()
	})
	return server.URL, b, server
}
