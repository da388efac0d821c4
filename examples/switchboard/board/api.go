package board

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"
)

// maxBody is the largest request body that is accepted, in bytes.
const maxBody = 4 << 10

// api adds the routes for programs. Every answer is JSON, also every refusal.
func (b *Board) api(mux *http.ServeMux) {
	routes := map[string]struct {
		method string
		handle http.HandlerFunc
	}{
		"/api/status":   {http.MethodGet, func(w http.ResponseWriter, r *http.Request) { writeJSON(w, http.StatusOK, b.look(r.Context())) }},
		"/api/events":   {http.MethodGet, b.apiEvents},
		"/api/switch":   {http.MethodPost, b.apiDo(ActionSwitch)},
		"/api/shutdown": {http.MethodPost, b.apiDo(ActionShutdown)},
	}
	for path, route := range routes {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if r.Method != route.method && (r.Method != http.MethodHead || route.method != http.MethodGet) {
				w.Header().Set("Allow", route.method)
				writeJSON(w, http.StatusMethodNotAllowed, Refusal{Code: "method", Text: path + " takes " + route.method + "."})
				return
			}
			route.handle(w, r)
		})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusNotFound, Refusal{Code: "unknown-path", Text: "There is no such path: see docs/switchboard.md."})
	})
}

// A request is the body of POST /api/switch and /api/shutdown.
type request struct {
	// VMID is the VMID of the system.
	VMID int `json:"vmid"`
	// TakeOver is the ID of a lease whose controller is dead. The request takes
	// this lease over.
	TakeOver string `json:"takeOver"`
	// Wait delays the answer until the job has ended.
	Wait bool `json:"wait"`
}

// A result is the answer to a request that began a job.
type result struct {
	Job     *Job     `json:"job,omitempty"`     // the job, while it is under way
	Outcome *Outcome `json:"outcome,omitempty"` // the outcome, after the job has ended
}

// apiDo returns the handler of an action. It answers 202 when the job has
// begun. If the request waits for the end of the job, it answers 200 after a
// success and 502 after a failure.
func (b *Board) apiDo(action Action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, status, err := decode(r)
		if err != nil {
			writeJSON(w, status, Refusal{Code: "request", Text: err.Error()})
			return
		}
		j, err := b.begin(r.Context(), Order{Action: action, VMID: body.VMID, TakeOver: body.TakeOver})
		if err != nil {
			refused := refusal(err)
			writeJSON(w, refused.status(), refused)
			return
		}
		if body.Wait {
			select {
			case <-j.done:
				status = http.StatusOK
				if !j.outcome.OK {
					status = http.StatusBadGateway
				}
				writeJSON(w, status, result{Outcome: j.outcome})
				return
			case <-r.Context().Done():
				return // the client has gone, but the job continues
			}
		}
		v, _ := b.now()
		b.mu.Lock()
		answer := result{Job: j.shown(v)}
		b.mu.Unlock()
		writeJSON(w, http.StatusAccepted, answer)
	}
}

var (
	errVMID = errors.New("vmid is missing: send {\"vmid\": 141}")
	errWait = errors.New("wait: want true or false")
	errType = errors.New("send Content-Type: application/json, or a form")
	errNone = errors.New("the body is empty: send {\"vmid\": 141}")
	errHalf = errors.New("the body ends in the middle of a value: send {\"vmid\": 141}")
	errMore = errors.New("there is more than one value in the body")
)

// decode reads a request's body. If it returns an error, status is the HTTP
// status of the answer.
func decode(r *http.Request) (body request, status int, err error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err == nil && kind == "application/json":
		body, err = decodeJSON(r.Body)
	case err == nil && kind == "application/x-www-form-urlencoded":
		body, err = decodeForm(r)
	default:
		return body, http.StatusUnsupportedMediaType, errType
	}
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return body, http.StatusRequestEntityTooLarge, err
	case err == nil && body.VMID == 0:
		err = errVMID
	}
	return body, http.StatusBadRequest, err
}

func decodeJSON(from io.Reader) (body request, err error) {
	decoder := json.NewDecoder(from)
	decoder.DisallowUnknownFields()
	switch err := decoder.Decode(&body); {
	case errors.Is(err, io.EOF):
		return body, errNone
	case errors.Is(err, io.ErrUnexpectedEOF):
		return body, errHalf
	case err != nil:
		return body, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return body, errMore
	}
	return body, nil
}

func decodeForm(r *http.Request) (body request, err error) {
	if err := r.ParseForm(); err != nil {
		return body, err
	}
	body.TakeOver = r.PostForm.Get("takeOver")
	if text := r.PostForm.Get("wait"); text != "" {
		if body.Wait, err = strconv.ParseBool(text); err != nil {
			return body, errWait
		}
	}
	if body.VMID, err = strconv.Atoi(r.PostForm.Get("vmid")); err != nil {
		return body, errVMID
	}
	return body, nil
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(value) // if the client has gone, nobody needs the answer
}

// apiEvents sends the status as an event each time it changes.
func (b *Board) apiEvents(w http.ResponseWriter, r *http.Request) {
	b.stream(w, r, func(v View) ([]byte, error) {
		v.At = time.Time{} // a view that differs only in its time counts as unchanged
		return json.Marshal(v)
	})
}
