package rustdesk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"

	"github.com/proxstation/proxstation"
)

// A Frame is one picture of a guest's screen.
type Frame struct {
	// PNG is the picture. It may show anything that is on the guest's screen.
	PNG []byte
	// Width and Height are the size of the picture in pixels.
	Width, Height int
	// The field Blank says that all pixels have one colour: nothing is drawn,
	// or the screen is blanked.
	Blank bool
}

// ErrFrame reports a screen that cannot be captured, or a picture that cannot
// be read.
var ErrFrame = errors.New("rustdesk: frame")

// framePaths holds the path of the picture in the guest. The file is there
// until Capture has read it. Only root can read its directory.
var framePaths = map[OS]string{
	Linux: "/root/.proxstation-frame.png",
	MacOS: "/var/root/.proxstation-frame.png",
}

// Capture takes a picture of a guest's screen. The picture shows whether
// [Report.Picture] was right. Capture leaves no file in the guest. On Linux it
// needs an X11 session, and import (ImageMagick), ffmpeg or scrot in the guest.
// On macOS it needs the permission for screen recording. On Windows it cannot
// take a picture, because an agent does not run in a session with a desktop.
//
// The error matches [ErrFrame] if the cause is the system or the picture. It is
// a [SetupError] of stage "frame" if the guest has no tool or no X11 session.
func Capture(ctx context.Context, guest Guest, system OS) (Frame, error) {
	path, known := framePaths[system]
	if !known {
		return Frame{}, fmt.Errorf("%w: no way to capture the screen of %q", ErrFrame, string(system))
	}
	script, err := frameScript(system, "")
	if err != nil {
		return Frame{}, err
	}
	output, err := runScript(ctx, guest, script, nil)
	if err == nil {
		err = parseLines(output, func(string, string) error { return nil })
	}
	if err != nil {
		return Frame{}, err
	}
	data, err := guest.ReadFile(ctx, path)
	_, errRemove := guest.Run(ctx, proxstation.GuestCommand{Argv: []string{"/bin/rm", "-f", path}})
	if err := errors.Join(err, errRemove); err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return decodeFrame(data)
}

func frameScript(system OS, root string) (Script, error) {
	body, err := render("frame", scriptInput{Setup: Setup{OS: system}, Root: root})
	return Script{OS: system, Body: body, Stdin: proxstation.NewSecret("\n\n")}, err
}

// maxFramePixels is the greatest number of pixels of a picture that Capture
// accepts. It is four times the pixels of an 8K screen.
const maxFramePixels = 4 * 7680 * 4320

func decodeFrame(data []byte) (Frame, error) {
	size, err := png.DecodeConfig(bytes.NewReader(data))
	if err == nil && size.Width*size.Height > maxFramePixels {
		err = fmt.Errorf("%d x %d pixels", size.Width, size.Height)
	}
	if err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	picture, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return Frame{}, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	return Frame{PNG: data, Width: size.Width, Height: size.Height, Blank: blank(picture)}, nil
}

func blank(picture image.Image) bool {
	area := picture.Bounds()
	first := picture.At(area.Min.X, area.Min.Y)
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			if picture.At(x, y) != first {
				return false
			}
		}
	}
	return true
}
