package recovery_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/proxstation/proxstation/gpu"
	"github.com/proxstation/proxstation/workstation/recovery"
)

// A service other than Apple's offers an image with a chunklist of its own.
// Download refuses the chunklist and leaves nothing behind.
func ExampleClient() {
	var url string
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "1"})
		case "/InstallationPayload/RecoveryImage":
			_, _ = fmt.Fprintf(w, "AP: 041-91758\nAU: %s/a.dmg\nAT: t\nCU: %s/a.chunklist\nCT: t\n", url, url)
		case "/a.chunklist":
			_, _ = fmt.Fprint(w, "CNKL, trust me")
		}
	}))
	defer service.Close()
	url = service.URL
	dir, err := os.MkdirTemp("", "recovery")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()

	client := recovery.Client{URL: url, Progress: func(e recovery.Event) { fmt.Println(e.Message, e.Done, e.Total) }}
	asset, err := client.Find(context.Background(), recovery.Sequoia)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("product", asset.Product)
	list, err := client.Download(context.Background(), asset, dir)
	if err != nil {
		fmt.Println(err, errors.Is(err, recovery.ErrChunklist))
		return
	}
	fmt.Println(list.SaveDisk(context.Background(), dir, "recovery-sequoia.raw"))
	// Output:
	// product 041-91758
	// recovery: malformed chunklist: does not begin with CNKL and a header true
}

func ExampleParseRelease() {
	release, err := recovery.ParseRelease("macOS 15.7.4")
	fmt.Println(release, release.Version(), err)
	board, err := release.Board()
	fmt.Println(board.ID, board.Latest, err)
	_, err = recovery.ParseRelease("10.12")
	fmt.Println(err)
	// Output:
	// Sequoia 15 <nil>
	// Mac-7BA5B2D9E42DDD94 false <nil>
	// recovery: unknown macOS release "10.12"
}

// Anyone can make a chunklist with a checksum in place of a signature.
func ExampleChunklist() {
	image := []byte("BaseSystem")
	sum := sha256.Sum256(image)
	file := append([]byte("CNKL"), 36, 0, 0, 0, 1, 1, 2, 0) // version 1, SHA-256, no signature
	for _, n := range []uint64{1, 36, 36 + 36} {            // the number of chunks, the place of the chunk, the place of the checksum
		file = binary.LittleEndian.AppendUint64(file, n)
	}
	file = binary.LittleEndian.AppendUint32(file, uint32(len(image)))
	file = append(file, sum[:]...)
	sum = sha256.Sum256(file)
	file = append(file, sum[:]...)

	list, err := recovery.ParseChunklist(file)
	fmt.Println(len(list.Chunks), "chunk,", list.Size(), "bytes,", recovery.DiskSize(list), "on disk", err)
	fmt.Println(list.Verify())
	fmt.Println(list.VerifyImage(bytes.NewReader(image)))
	fmt.Println(list.VerifyImage(strings.NewReader("basesystem")))
	// Output:
	// 1 chunk, 10 bytes, 34603008 on disk <nil>
	// recovery: the chunklist is not signed
	// <nil>
	// recovery: the image does not match its chunklist: chunk 0 at byte 0 has another checksum
}

// ReleaseOf says which recovery system the guest of a macOS VM needs.
func ExampleReleaseOf() {
	release, ok := recovery.ReleaseOf(gpu.MacOSSequoia)
	fmt.Println(release, ok)
	// Output: Sequoia true
}
