package rustdesk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/proxstation/proxstation"
)

// publicHost is the public ID server (hbb_common src/config.rs,
// RENDEZVOUS_SERVERS).
const publicHost = "rs-ny.rustdesk.com"

// onlineAtMost is the longest time that a question to the server may take. A
// context may end earlier.
const onlineAtMost = 15 * time.Second

// ErrOnline reports that an ID server could not be asked which guests are
// online.
var ErrOnline = errors.New("rustdesk: ask the ID server who is online")

// Online asks the ID server which of the guests are registered now, and returns
// an answer for each guest, in order. A guest counts as registered for 30
// seconds after its last call to the server (rustdesk-server
// src/rendezvous_server.rs, REG_TIMEOUT). If the server cannot be asked, every
// answer is Unknown and the error matches [ErrOnline].
//
// Online asks over TCP, as a client's address book does. The port is one less
// than the server's own port, so 21115 by default (rustdesk src/client.rs,
// query_online_states). The server does not answer if Online runs on the
// server's own machine.
func (s Server) Online(ctx context.Context, ids ...ID) ([]proxstation.Answer, error) {
	answers := make([]proxstation.Answer, len(ids))
	states, err := s.askOnline(ctx, ids)
	if err != nil {
		return answers, fmt.Errorf("%w: %w", ErrOnline, err)
	}
	for i := range ids {
		answers[i] = proxstation.AnswerOf(states[i/8]&(0x80>>(i%8)) != 0)
	}
	return answers, nil
}

func (s Server) askOnline(ctx context.Context, ids []ID) (states []byte, err error) {
	host, port := splitHostPort(orDefault(s.ID, publicHost), idPort)
	ctx, cancel := context.WithTimeout(ctx, onlineAtMost)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(port)-1)))
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if _, err := conn.Write(frame(onlineRequest(ids))); err != nil {
		return nil, err
	}
	for range 2 { // the first message may hold the server's keys; the second then holds the answer
		message, err := readFrame(conn)
		if err != nil {
			return nil, err
		}
		if states, ok := onlineStates(message); ok {
			if len(states) < (len(ids)+7)/8 {
				return nil, errors.New("the answer is too short")
			}
			return states, nil
		}
	}
	return nil, errors.New("the answer is another message")
}

// The messages (hbb_common protos/rendezvous.proto): RendezvousMessage has the
// fields online_request and online_response.
const (
	fieldOnlineRequest  = 23
	fieldOnlineResponse = 24
	wireBytes           = 2 // protobuf's wire type 2, for texts, bytes and messages
)

// appendField appends a field of protobuf's wire type 2.
func appendField(message []byte, field uint64, value []byte) []byte {
	message = binary.AppendUvarint(message, field<<3|wireBytes)
	message = binary.AppendUvarint(message, uint64(len(value)))
	return append(message, value...)
}

func onlineRequest(ids []ID) []byte {
	var request []byte
	for _, id := range ids {
		request = appendField(request, 2, []byte(id)) // field 2 is peers
	}
	return appendField(nil, fieldOnlineRequest, request)
}

// onlineStates returns the states of an OnlineResponse: one bit for each guest.
// The first guest has the highest bit of the first byte.
func onlineStates(message []byte) ([]byte, bool) {
	response, ok := cutField(message, fieldOnlineResponse)
	if !ok {
		return nil, false
	}
	states, _ := cutField(response, 1)
	return states, true
}

// cutField returns the content of a message's first field if this field has the
// given number. The messages that Online reads have only one field.
func cutField(message []byte, field uint64) ([]byte, bool) {
	tag, n := binary.Uvarint(message)
	if n <= 0 || tag != field<<3|wireBytes {
		return nil, false
	}
	size, m := binary.Uvarint(message[n:])
	if m <= 0 || size > uint64(len(message)-n-m) {
		return nil, false
	}
	return message[n+m:][:size], true
}

// maxFrame is the greatest length of an answer that Online accepts, in bytes.
// The answer for a homelab is much shorter.
const maxFrame = 64 << 10

// The function "frame" prepends the length to a message (hbb_common
// src/bytes_codec.rs). The two lowest bits of the first byte give the number of
// further bytes that belong to the length.
func frame(message []byte) []byte {
	length := len(message) << 2
	switch {
	case length <= 0xff:
		return append([]byte{byte(length)}, message...)
	case length <= 0xffff:
		return append(binary.LittleEndian.AppendUint16(nil, uint16(length|1)), message...)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(length|3)), message...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:1]); err != nil {
		return nil, err
	}
	if _, err := io.ReadFull(r, head[1:1+head[0]&3]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:]) >> 2
	if size > maxFrame {
		return nil, fmt.Errorf("a message of %d bytes", size)
	}
	message := make([]byte, size)
	_, err := io.ReadFull(r, message)
	return message, err
}
