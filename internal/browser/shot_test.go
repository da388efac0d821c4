package browser_test

import (
	"bytes"
	"context"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// shot takes a picture of the whole page, or of the part that the screen shows.
func shot(t *testing.T, ctx context.Context, s screen, whole bool) []byte {
	t.Helper()
	evaluate[bool](t, ctx, `document.fonts.ready.then(() => true)`, chromedp.EvalAwaitPromise)
	take := chromedp.CaptureScreenshot()
	if whole {
		take = chromedp.FullScreenshot(100)
	}
	data, err := chromedp.Run(ctx, take)
	if err != nil {
		t.Fatal(err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if got, least := picture.Bounds().Dx(), int(float64(s.width)*s.scale); got < least {
		t.Errorf("the picture is %d pixels wide, want %d", got, least)
	}
	return data
}

func picture(t *testing.T, name string, data []byte) {
	t.Helper()
	if !*update {
		return
	}
	if err := os.MkdirAll(pictures, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(pictures, "switchboard-"+name+".png"), data, 0o644); err != nil {
		t.Fatal(err)
	}
}
