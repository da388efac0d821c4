package recovery

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A trickle is a server that sends some bytes of the image on every connection.
// It then sends nothing more, but does not close the connection.
type trickle struct {
	image, chunklist []byte
	burst            int
	requests         int
}

func (s *trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	response := &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{}}
	if strings.HasSuffix(r.URL.Path, ".chunklist") {
		response.Body = io.NopCloser(strings.NewReader(string(s.chunklist)))
		return response, nil
	}
	s.requests++
	from := 0
	if header := r.Header.Get("Range"); header != "" {
		for _, c := range strings.TrimSuffix(strings.TrimPrefix(header, "bytes="), "-") {
			from = 10*from + int(c-'0')
		}
		response.StatusCode = http.StatusPartialContent
		response.Header.Set("Content-Range", strings.Replace(header, "=", " ", 1)+"0/0")
	}
	rest := s.image[from:]
	if len(rest) <= s.burst {
		response.Body = io.NopCloser(strings.NewReader(string(rest)))
	} else {
		response.Body = io.NopCloser(io.MultiReader(strings.NewReader(string(rest[:s.burst])), silence{r.Context()}))
	}
	return response, nil
}

type silence struct{ ctx context.Context }

func (s silence) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestStalledConnectionIsGivenUp(t *testing.T) {
	t.Parallel()
	image, key := testImage(1, testSize), mustKey(t, ourKey)
	list := sign(t, image, testChunk, key)
	for name, test := range map[string]struct {
		burst, requests int
		took            time.Duration
		want            error
	}{
		"brings two chunks, then nothing": {2*testChunk + 7, 3, 2 * stallAfter, nil},
		"brings less than a chunk":        {testChunk - 1, 1, stallAfter, ErrStalled},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				server := &trickle{image: image, chunklist: list, burst: test.burst}
				c := Client{HTTP: &http.Client{Transport: server}}
				c.Keys = append(c.Keys, &key.PublicKey)
				asset := Asset{Image: "http://x/a.dmg", Chunklist: "http://x/a.chunklist", tokens: &tokens{}}
				start := time.Now()
				_, err := c.Download(t.Context(), asset, dir)
				if !errors.Is(err, test.want) || server.requests != test.requests || time.Since(start) != test.took {
					t.Errorf("%v after %d requests and %v", err, server.requests, time.Since(start))
				}
			})
			if _, err := os.Stat(filepath.Join(dir, ImageName)); (err == nil) != (test.want == nil) {
				t.Errorf("the image is there, or is not: %v", err)
			}
		})
	}
}
