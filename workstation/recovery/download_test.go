package recovery

import (
	"bytes"
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	testChunk = 64 << 10
	testSize  = 5*testChunk + 1234
)

// fixture is a service with a signed image, and a client that trusts it.
func fixture(t *testing.T) (*service, *Client, string) {
	t.Helper()
	key := mustKey(t, ourKey)
	image := testImage(1, testSize)
	s := newService(t, image, sign(t, image, testChunk, key))
	return s, &Client{URL: s.url, Keys: []*rsa.PublicKey{&key.PublicKey}}, t.TempDir()
}

func fetch(t *testing.T, c *Client, dir string) (*Chunklist, error) {
	t.Helper()
	asset, err := c.Find(t.Context(), Sequoia)
	if err != nil {
		t.Fatal(err)
	}
	return c.Download(t.Context(), asset, dir)
}

// wantFiles checks the names of the files in a directory.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	s, c, dir := fixture(t)
	var events []Event
	c.Progress = func(e Event) { events = append(events, e) }
	list, err := fetch(t, c, dir)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, dir, ChunklistName, ImageName)
	for name, want := range map[string][]byte{ImageName: s.image, ChunklistName: s.chunklist} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is another file (%v)", name, err)
		}
	}
	if list.Size() != testSize || len(list.Chunks) != 6 {
		t.Errorf("%d bytes in %d chunks", list.Size(), len(list.Chunks))
	}
	last := events[len(events)-1]
	if len(events) < 8 || last.Done != testSize || last.Total != testSize {
		t.Errorf("%d events, the last %+v", len(events), last)
	}
	for i := 1; i < len(events); i++ {
		if events[i].Done < events[i-1].Done {
			t.Errorf("progress went back from %+v to %+v", events[i-1], events[i])
		}
	}
	if _, err := fetch(t, c, dir); err != nil || s.requests.Load() != 1 {
		t.Errorf("again: %v, the image was asked for %d times", err, s.requests.Load())
	}
}

func TestDownloadGoesOnAfterACut(t *testing.T) {
	t.Parallel()
	for _, noRanges := range []bool{false, true} {
		s, c, dir := fixture(t)
		s.noRanges = noRanges
		s.cutAfter.Store(2*testChunk + 999)
		_, err := fetch(t, c, dir)
		if noRanges { // without ranges, every connection starts again with the first bytes
			if err == nil || s.requests.Load() != 2 {
				t.Errorf("without ranges: %v after %d requests", err, s.requests.Load())
			}
			wantFiles(t, dir, ImageName+partial)
			s.cutAfter.Store(0)
			if _, err := fetch(t, c, dir); err != nil {
				t.Errorf("without ranges, again: %v", err)
			}
			continue
		}
		if err != nil || s.requests.Load() != 3 {
			t.Errorf("%v after %d requests, want 3", err, s.requests.Load())
		}
		wantFiles(t, dir, ChunklistName, ImageName)
	}
}

func TestDownloadIsCancelledAndResumed(t *testing.T) {
	t.Parallel()
	s, c, dir := fixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	c.Progress = func(e Event) {
		if e.Done >= 3*testChunk {
			cancel()
		}
	}
	asset, err := c.Find(t.Context(), Sequoia)
	if err != nil {
		t.Fatal(err)
	}
	s.cutAfter.Store(3*testChunk + 10) // the service sends no more than this
	if _, err := c.Download(ctx, asset, dir); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
	wantFiles(t, dir, ImageName+partial)
	c.Progress = nil
	s.cutAfter.Store(0)
	if _, err := c.Download(t.Context(), asset, dir); err != nil {
		t.Fatal(err)
	}
	if from := s.lastFrom.Load(); from != 3*testChunk {
		t.Errorf("asked for the image from byte %d on the second time, want only the rest", from)
	}
}

func TestDownloadRefuses(t *testing.T) {
	t.Parallel()
	flip := func(data []byte, at int) []byte {
		changed := bytes.Clone(data)
		changed[at] ^= 1
		return changed
	}
	for _, test := range []struct {
		name   string
		change func(s *service)
		want   error
		left   []string
	}{
		{"tampered image", func(s *service) { s.image = flip(s.image, 2*testChunk+5) }, ErrImage, []string{ImageName + partial}},
		{"tampered last byte", func(s *service) { s.image = flip(s.image, testSize-1) }, ErrImage, []string{ImageName + partial}},
		{"another image", func(s *service) { s.image = testImage(2, testSize) }, ErrImage, []string{ImageName + partial}},
		{"truncated image", func(s *service) { s.image = s.image[:testSize-1] }, ErrImage, []string{ImageName + partial}},
		{"image that goes on", func(s *service) { s.image = append(bytes.Clone(s.image), 0) }, ErrImage, []string{ImageName + partial}},
		{"tampered chunk", func(s *service) { s.chunklist = flip(s.chunklist, 60) }, ErrSignature, nil},
		{"tampered signature", func(s *service) { s.chunklist = flip(s.chunklist, len(s.chunklist)-100) }, ErrSignature, nil},
		{"image and chunklist of somebody else", func(s *service) {
			s.image = testImage(2, testSize)
			s.chunklist = sign(s.t, s.image, testChunk, mustKey(s.t, otherKey))
		}, ErrSignature, nil},
		{"unsigned chunklist", func(s *service) { s.chunklist = sign(s.t, s.image, testChunk, nil) }, ErrUnsigned, nil},
		{"truncated chunklist", func(s *service) { s.chunklist = s.chunklist[:len(s.chunklist)-1] }, ErrChunklist, nil},
		{"a page instead of a chunklist", func(s *service) { s.chunklist = []byte("<html>") }, ErrChunklist, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s, c, dir := fixture(t)
			test.change(s)
			for range 2 { // files of the first try must not make the second try succeed
				if _, err := fetch(t, c, dir); !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
				wantFiles(t, dir, test.left...)
			}
		})
	}
}

func TestDownloadReplacesWhatIsThere(t *testing.T) {
	t.Parallel()
	s, c, dir := fixture(t)
	wrong := bytes.Clone(s.image)
	wrong[4*testChunk+1] ^= 1
	if err := os.WriteFile(filepath.Join(dir, ImageName), wrong, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fetch(t, c, dir); err != nil {
		t.Fatal(err)
	}
	if from := s.lastFrom.Load(); from != 4*testChunk {
		t.Errorf("asked for the image from byte %d, want from the wrong chunk on", from)
	}
	wantFiles(t, dir, ChunklistName, ImageName)
}

func TestDownloadIntoNoDirectory(t *testing.T) {
	t.Parallel()
	_, c, dir := fixture(t)
	if _, err := fetch(t, c, filepath.Join(dir, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want fs.ErrNotExist", err)
	}
	if _, err := c.Download(t.Context(), Asset{Image: "http://x/", Chunklist: "http://x/"}, dir); !errors.Is(err, ErrService) {
		t.Errorf("an asset of nobody: %v, want ErrService", err)
	}
}

func TestFindSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	without := func(key string) func(string) string {
		return func(text string) string { return strings.Replace(text, key+": ", key+"=", 1) }
	}
	for name, answer := range map[string]func(string) string{
		"no product":        without("AP"),
		"no image":          without("AU"),
		"no token":          without("CT"),
		"empty":             func(string) string { return "" },
		"image in the file": func(string) string { return "AP: a\nAU: file:///etc/passwd\nAT: b\nCU: http://x/\nCT: c\n" },
	} {
		s, c, _ := fixture(t)
		s.answer = answer
		asset, err := c.Find(t.Context(), Sequoia)
		if !errors.Is(err, ErrService) {
			t.Errorf("%s: %+v, %v, want ErrService", name, asset, err)
		} else if strings.Contains(err.Error(), "token") {
			t.Errorf("%s: the error tells a token: %v", name, err)
		}
	}
	_, c, _ := fixture(t)
	if _, err := c.FindBoard(t.Context(), Board{ID: "Mac-0000"}); !errors.Is(err, ErrService) {
		t.Errorf("unknown board: %v", err)
	}
	if _, err := c.Find(t.Context(), 0); !errors.Is(err, ErrRelease) {
		t.Errorf("no release: %v", err)
	}
	asset, err := c.Find(t.Context(), Tahoe)
	if text := fmt.Sprintf("%v %+v %#v", asset, asset, asset); err != nil || strings.Contains(text, "token") && strings.Contains(text, "-token") {
		t.Errorf("%s, %v: tells a token", text, err)
	}
}

func TestFindAsksAsEachReleasesMac(t *testing.T) {
	t.Parallel()
	s, c, _ := fixture(t)
	for release := HighSierra; release <= Tahoe; release++ {
		if _, err := c.Find(t.Context(), release); err != nil {
			t.Errorf("%s: %v", release, err)
		}
		board, _ := release.Board()
		query, _ := s.lastQuery.Load().(string)
		if !strings.Contains(query, "bid="+board.ID+"\n") || !strings.Contains(query, "sn="+board.Serial+"\n") ||
			strings.HasSuffix(query, "os=latest") != board.Latest {
			t.Errorf("%s: asked %q", release, query)
		}
	}
}
