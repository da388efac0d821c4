package rustdesk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

// hbbs starts a server on a port of this machine, and returns the Server whose
// second port this is. It answers each message with the result of the function
// "answer".
func hbbs(t *testing.T, answer func(message []byte) []byte) Server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			if message, err := readFrame(conn); err == nil {
				_, _ = conn.Write(answer(message))
			}
			_ = conn.Close()
		}
	}()
	return Server{ID: fmt.Sprintf("127.0.0.1:%d", listener.Addr().(*net.TCPAddr).Port+1)}
}

func TestOnline(t *testing.T) {
	t.Parallel()
	ids := []ID{"1", "2", "3", "4", "5", "6", "7", "8", "9", "mein-m\u00e4c"}
	asks := make(chan []byte, 1)
	keys := frame(appendField(nil, 25, []byte("keys")))
	server := hbbs(t, func(message []byte) []byte {
		asks <- message
		return append(keys, frame(appendField(nil, fieldOnlineResponse, appendField(nil, 1, []byte{0b01000001, 0b01000000})))...)
	})
	got, err := server.Online(t.Context(), ids...)
	var online []string
	for i, answer := range got {
		if answer == proxstation.Yes {
			online = append(online, string(ids[i]))
		} else if answer != proxstation.No {
			t.Errorf("%s: %s", ids[i], answer)
		}
	}
	if err != nil || strings.Join(online, " ") != "2 8 mein-m\u00e4c" {
		t.Errorf("%v, %v", online, err)
	}
	// This is the request as protoc encodes it: field 23, which contains a
	// field 2 for every guest.
	want := append([]byte{0xba, 0x01, 38}, "\x12\x011\x12\x012\x12\x013\x12\x014\x12\x015\x12\x016\x12\x017\x12\x018\x12\x019\x12\x09mein-m\u00e4c"...)
	if asked := <-asks; !bytes.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
}

func TestOnlineThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string][]byte{
		"nothing":         {},
		"another message": append(frame([]byte{1}), frame([]byte{2})...),
		"too short":       frame(appendField(nil, fieldOnlineResponse, nil)),
		"too long":        {0xff, 0xff, 0xff, 0xff},
		"cut off":         frame([]byte{0xc2, 0x01, 200, 1})[:3],
		"lies":            frame([]byte{0xc2, 0x01, 200, 1}),
	} {
		answers, err := hbbs(t, func([]byte) []byte { return answer }).Online(t.Context(), "123456789")
		if !errors.Is(err, ErrOnline) || len(answers) != 1 || answers[0] != proxstation.Unknown {
			t.Errorf("%s: %v, %v", name, answers, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	server := hbbs(t, func([]byte) []byte { cancel(); <-t.Context().Done(); return nil })
	if answers, err := server.Online(ctx, "123456789"); !errors.Is(err, ErrOnline) || answers[0] != proxstation.Unknown {
		t.Errorf("given up: %v, %v", answers, err)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("abc"))
	f.Add(bytes.Repeat([]byte{7}, 70))
	f.Add(bytes.Repeat([]byte{7}, 17<<10))
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > maxFrame {
			return
		}
		again, err := readFrame(bytes.NewReader(frame(message)))
		if err != nil || !bytes.Equal(again, message) {
			t.Errorf("%d bytes became %d, %v", len(message), len(again), err)
		}
		states, _ := onlineStates(message)
		if len(states) > len(message) {
			t.Error("more than there was")
		}
	})
}
