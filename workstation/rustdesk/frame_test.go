package rustdesk

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation"
)

func picture(t *testing.T, dots int) []byte {
	t.Helper()
	frame := image.NewGray(image.Rect(0, 0, 8, 4))
	for i := range dots {
		frame.Set(7-i, 3, color.White)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, frame); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A local is a [Guest] whose files are in a directory of this machine.
type local struct{ *guest }

func (l local) Wait(context.Context, time.Duration) error { return nil }

func (l local) ReadFile(_ context.Context, path string) ([]byte, error) {
	return os.ReadFile(l.root + path)
}

func (l local) WriteFile(context.Context, string, []byte) error { return errors.New("not used") }

// Run ignores the given command, and runs the frame's script in the directory
// of the guest. It has special cases for the commands that write the script and
// remove the picture.
func (l local) Run(_ context.Context, c proxstation.GuestCommand) (proxstation.GuestOutput, error) {
	switch {
	case c.Argv[0] == "/bin/rm":
		return proxstation.GuestOutput{}, os.Remove(l.root + c.Argv[2])
	case c.Argv[1] == "-c":
		return proxstation.GuestOutput{}, nil // this command only writes the script into the guest
	}
	script, err := frameScript(l.os, l.root)
	if err != nil {
		return proxstation.GuestOutput{}, err
	}
	text := ""
	err = l.execute(script, func(output string) error {
		text = output
		return parseLines(output, func(string, string) error { return nil })
	})
	var stopped *SetupError
	if errors.As(err, &stopped) {
		err = nil
	}
	return proxstation.GuestOutput{Stdout: text}, err
}

func TestCapture(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		os    OS
		tools map[string]string
		dots  int
		blank bool
		err   error
	}{
		"ImageMagick":  {Linux, map[string]string{"import": `cp "$D/picture" "${4#png:}"; echo "$DISPLAY" >"$D/asked"`}, 3, false, nil},
		"ffmpeg":       {Linux, map[string]string{"ffmpeg": `for f; do :; done; [ "$DISPLAY" = :1 ] && cp "$D/picture" "$f"; echo "$DISPLAY" >"$D/asked"`}, 0, true, nil},
		"a tool fails": {Linux, map[string]string{"scrot": `exit 1`}, 1, false, ErrSetup},
		"no tool":      {Linux, nil, 1, false, ErrSetup},
		"not a PNG":    {Linux, map[string]string{"scrot": `echo GIF89a >"$1"; echo "$DISPLAY" >"$D/asked"`}, 1, false, ErrFrame},
		"a Mac":        {MacOS, map[string]string{"screencapture": `cp "$D/picture" "$4"`}, 1, false, nil},
		"Windows":      {Windows, nil, 1, false, ErrFrame},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuest(t, test.os)
			for _, tool := range []string{"import", "ffmpeg", "scrot"} { // these stand-ins hide the tools of this machine
				if body, there := test.tools[tool]; there {
					g.tool(tool, body)
				} else if _, err := os.Stat("/usr/bin/" + tool); err == nil && test.os == Linux && len(test.tools) == 0 {
					t.Skipf("%s is installed here", tool)
				}
			}
			if body, there := test.tools["screencapture"]; there {
				g.tool("screencapture", body)
			}
			g.put("/tmp/.X11-unix/X1", "")
			g.must(os.MkdirAll(g.root+"/root", 0o700))
			g.must(os.MkdirAll(g.root+"/var/root", 0o700))
			data := picture(t, test.dots)
			g.state("picture", string(data))
			frame, err := Capture(t.Context(), local{g}, test.os)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			if err == nil && (frame.Width != 8 || frame.Height != 4 || frame.Blank != test.blank || !bytes.Equal(frame.PNG, data)) {
				t.Errorf("%d x %d, blank %t", frame.Width, frame.Height, frame.Blank)
			}
			for _, path := range framePaths {
				if _, err := os.Stat(g.root + path); err == nil {
					t.Errorf("%s is left behind", path)
				}
			}
			if asked := strings.TrimSpace(g.read("asked")); asked != "" && asked != ":1" {
				t.Errorf("asked display %q", asked)
			}
		})
	}
}

func FuzzDecodeFrame(f *testing.F) {
	f.Add([]byte("\x89PNG\r\n\x1a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if frame, err := decodeFrame(data); err == nil && (frame.Width < 1 || frame.Height < 1) || err != nil && !errors.Is(err, ErrFrame) {
			t.Errorf("%d x %d, %v", frame.Width, frame.Height, err)
		}
	})
}
