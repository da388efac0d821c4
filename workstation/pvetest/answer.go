package pvetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

// An answer is the node's response to a request.
type answer struct {
	status int
	reason string // text of the status line, which contains PVE's message
	body   []byte
	kind   string        // content type; "" means JSON
	drop   bool          // close the connection without an answer
	hang   bool          // never answer
	down   bool          // refuse the connection, because the host is down
	lost   bool          // break the connection, because the host lost its power
	delay  time.Duration // wait before the answer, in real time
}

// The method "respond" makes the answer from the result of an API method. If
// the result is a refusal, the field "data" is null, and the status line holds
// the first line of the message. Since PVE 8 the body holds the whole message
// (pve-http-server PVE/APIServer/Formatter/Standard.pm). If the caller is not
// logged in, the answer comes after three seconds and has no body.
func (n *Node) respond(data any, err error) answer {
	var no *refusal
	var passed *passedOn
	switch {
	case errors.As(err, &passed):
		return passed.answer
	case errors.Is(err, errGone):
		return answer{drop: true, lost: n.down}
	case errors.As(err, &no):
		return n.refused(no)
	}
	body, err := encode(map[string]any{"data": data})
	if err != nil {
		return n.respond(nil, refuse("%v", err))
	}
	return answer{status: http.StatusOK, reason: "OK", body: body}
}

// The method "refused" converts a refusal to the answer that PVE sends.
func (n *Node) refused(no *refusal) answer {
	reason, _, _ := strings.Cut(no.message, "\n")
	switch {
	case no.stranger:
		return answer{status: no.status, reason: reason, delay: n.real(3 * time.Second)}
	case no.plain:
		return answer{status: no.status, reason: reason, body: []byte(no.message + "\n"), kind: "text/plain"}
	}
	object := map[string]any{"data": nil, "message": no.message + "\n"}
	if no.status == http.StatusNotImplemented {
		object["message"] = no.message
	}
	if no.errors != nil {
		object["errors"] = no.errors
	}
	body, _ := json.Marshal(object) // cannot fail: the object holds only text
	return answer{status: no.status, reason: reason, body: body}
}

// extjs converts an answer to the form of /api2/extjs, which PVE's web
// interface uses. The HTTP status is then always 200, and the real status is in
// the body (PVE/APIServer/Formatter/Standard.pm, prepare_response_data).
func (a answer) extjs() answer {
	var object map[string]any
	if a.drop || a.lost || json.Unmarshal(a.body, &object) != nil {
		return a
	}
	object["success"] = bit(a.status == http.StatusOK)
	if a.status != http.StatusOK {
		object["status"], a.status, a.reason = text(a.status), http.StatusOK, "OK"
	}
	a.body, _ = json.Marshal(object) // cannot fail: the object was decoded from JSON
	return a
}

// contentType returns the answer's Content-Type header.
func (a answer) contentType() string { return cmp.Or(a.kind, "application/json;charset=UTF-8") }

// The method "wait" pauses for the answer's delay. It returns false if no
// answer is to be sent, because of a fault or because the client has gone.
func (a answer) wait(r *http.Request) bool {
	if a.delay > 0 || a.hang {
		timer := time.NewTimer(a.delay)
		defer timer.Stop()
		expired := timer.C
		if a.hang {
			expired = nil
		}
		select {
		case <-expired:
		case <-r.Context().Done():
			return false
		}
	}
	return !a.drop && !a.lost && !a.down && r.Context().Err() == nil
}

// The method "faulty" answers a request. If a planned fault matches the
// request, the answer has this fault.
func (n *Node) faulty(r *http.Request, path string, work func() answer) answer {
	f := n.strike(func(f *Fault) bool {
		return f.Task == "" && (f.Method == "" || f.Method == r.Method) && f.pattern.MatchString(path)
	})
	if f == nil {
		return work()
	}
	switch f.Kind {
	case Refuse:
		return n.respond(nil, refuse("%s", f.message()))
	case Forbid:
		return n.respond(nil, refuseWith(http.StatusForbidden, "%s", cmp.Or(f.Message, "Permission check failed")))
	case DropBefore:
		return answer{drop: true}
	case PowerBefore:
		n.losePower()
		return answer{lost: true}
	case ProxyDown:
		return answer{status: 595, reason: cmp.Or(f.Message, "Connection refused")}
	case ExpireTicket:
		clear(n.tickets)
		a := n.respond(nil, n.authFailure("permission denied - invalid PVE ticket"))
		a.reason = cmp.Or(f.Message, a.reason)
		return a
	}
	a := work()
	switch f.Kind {
	case DropAfter:
		a.drop = true
	case ErrorAfter:
		return n.respond(nil, refuse("%s", f.message()))
	case ProxyTimeout:
		return answer{status: 596, reason: cmp.Or(f.Message, "Broken pipe")}
	case Slow:
		a.delay = f.Delay
	case HangAfter:
		a.hang = true
	case PowerAfter:
		n.losePower()
		a.lost = true
	}
	return a
}
