package browser_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// axe returns the text of axe-core, which axe.sh downloads.
func axe(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(cache, "proxstation", "browser", "package", "axe.min.js"))
	if err != nil && !required {
		t.Skipf("run axe.sh first: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The function "clean" reports a test error for each fault that axe finds on the
// page. Faults are violations of WCAG 2.2, levels A and AA, and of axe's best
// practices.
func clean(t *testing.T, ctx context.Context, what string) {
	t.Helper()
	type result struct {
		Passes int      `json:"passes"`
		Wrong  []string `json:"wrong"`
	}
	got := evaluate[result](t, ctx, `axe.run(document).then(r => ({passes: r.passes.length, wrong: r.violations.flatMap(v =>
		v.nodes.map(n => v.id + ": " + n.failureSummary.replaceAll("\n", " ") + " " + n.html.slice(0, 200)))}))`, chromedp.EvalAwaitPromise)
	for _, wrong := range got.Wrong {
		t.Errorf("%s: axe: %s", what, wrong)
	}
	if got.Passes < 10 {
		t.Errorf("%s: axe judged only %d rules", what, got.Passes)
	}
	if wide := evaluate[int](t, ctx, `document.documentElement.scrollWidth - innerWidth`); wide > 0 {
		t.Errorf("%s: the page is %d pixels wider than the screen", what, wide)
	}
}

// axe finds no fault on the page in any state, on a phone, a small phone and a
// desktop, in light and dark colours.
func TestEveryStateIsAccessible(t *testing.T) {
	t.Parallel()
	source := axe(t)
	for _, st := range states() {
		t.Run(st.name, func(t *testing.T) {
			t.Parallel()
			ctx := st.show(t, phone)
			do(t, ctx, chromedp.Evaluate[chromedp.Void](source+";undefined"))
			for _, s := range []screen{phone, phone.inDark(), desktop, desktop.inDark(), small} {
				do(t, ctx, s.emulate())
				clean(t, ctx, s.String())
			}
		})
	}
}

// The check with axe works: it finds grey text on a grey background.
func TestAxeFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	source := axe(t)
	ctx := tab(t, phone)
	do(t, ctx, chromedp.Navigate("data:text/html,<title>x</title><p style='color:%23aaa;background:%23bbb'>grey"), chromedp.Evaluate[chromedp.Void](source+";undefined"))
	found := evaluate[[]string](t, ctx, `axe.run(document).then(r => r.violations.map(v => v.id))`, chromedp.EvalAwaitPromise)
	if got := strings.Join(found, " "); !strings.Contains(got, "color-contrast") || !strings.Contains(got, "html-has-lang") {
		t.Errorf("axe finds %s", got)
	}
}
