package board

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/proxstation/proxstation"
)

//go:embed static
var static embed.FS

//go:embed board.html
var source string

var pages = template.Must(template.New("board").Funcs(template.FuncMap{
	"span": func(seconds int) string { return span(time.Duration(seconds) * time.Second) },
	"is":   func(f proxstation.Finding, severity string) bool { return f.Severity.String() == severity },
}).Parse(source))

// pages adds the routes of the page and its forms.
func (b *Board) pages(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", b.index)
	mux.HandleFunc("GET /events", b.pageEvents)
	for _, action := range []Action{ActionSwitch, ActionShutdown} {
		mux.HandleFunc("GET /"+string(action)+"/{vmid}", b.ask(action))
		mux.HandleFunc("POST /"+string(action)+"/{vmid}", b.act(action))
	}
	mux.HandleFunc("GET /takeover", b.askTakeOver)
	mux.HandleFunc("POST /dismiss", b.dismiss)
	mux.HandleFunc("GET /login", b.askSecret)
	mux.HandleFunc("POST /login", b.enter)
	mux.HandleFunc("POST /logout", b.leave)
	mux.Handle("GET /static/", http.FileServerFS(static))
}

// A question holds the data of two pages: the page that asks a person before a
// system is shut down, and the page that shows a refusal.
type question struct {
	View
	Action  Action
	Target  System
	Refusal *Refusal
	Force   bool // whether a switch cuts the power of a guest that does not shut down
}

// Grace returns the longest time that a guest may take to shut down, in words.
func (v View) Grace() string { return span(v.grace) }

// Boot returns the longest time that a guest may take to boot, in words.
func (v View) Boot() string { return span(v.boot) }

func (b *Board) index(w http.ResponseWriter, r *http.Request) {
	b.render(w, http.StatusOK, "index", b.shown(b.look(r.Context())))
}

// A shown holds the data of the main page: a view, and whether the page has a
// button that ends the session.
type shown struct {
	View
	Locked bool // whether there is a session that the button can end
}

func (b *Board) shown(v View) shown { return shown{v, !b.door.open()} }

// order parses an order from a request of the page.
func order(r *http.Request, action Action) (Order, error) {
	vmid, err := strconv.Atoi(r.PathValue("vmid"))
	if err != nil {
		return Order{}, &Refusal{Code: CodeUnknown, Text: "A system is named by its VMID."}
	}
	o := Order{Action: action, VMID: vmid}
	if r.Method == http.MethodPost {
		o.TakeOver = r.PostFormValue("takeOver")
		from, err := strconv.Atoi(r.PostFormValue("from"))
		if err != nil {
			return Order{}, &Refusal{Code: CodeChanged, Text: "The form does not say which system is shut down. Nothing was begun."}
		}
		o.From = &from
	}
	return o, nil
}

// ask returns the handler of the page that asks for confirmation. The page
// names the system whose user would lose the desktop.
func (b *Board) ask(action Action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := b.look(r.Context())
		o, err := order(r, action)
		if err == nil && v.Job != nil {
			err = &Refusal{Code: CodeBusy, Text: "Not now: " + v.Job.Text + "."}
		}
		if err == nil {
			if found := refuse(v, o); found != nil {
				err = found
			}
		}
		if err != nil {
			b.refuse(w, v, err)
			return
		}
		target, _ := v.system(o.VMID)
		b.render(w, http.StatusOK, "ask", question{View: v, Action: action, Target: target, Force: b.duo.Force})
	}
}

// askTakeOver asks which system gets the card once another controller's lease
// is taken over.
func (b *Board) askTakeOver(w http.ResponseWriter, r *http.Request) {
	v := b.look(r.Context())
	if v.Lease == nil {
		b.refuse(w, v, &Refusal{Code: CodeChanged, Text: "No other controller is at work any more."})
		return
	}
	b.render(w, http.StatusOK, "takeover", question{View: v, Force: b.duo.Force})
}

// act returns the handler that begins a job and returns to the page.
func (b *Board) act(action Action) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		o, err := order(r, action)
		if err == nil {
			_, err = b.begin(r.Context(), o)
		}
		if err != nil {
			v, _ := b.now()
			b.refuse(w, v, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	}
}

// statusOf maps the code of a refusal to an HTTP status. Refusals with other
// codes get StatusConflict.
var statusOf = map[string]int{CodeUnknown: http.StatusNotFound, CodeNoAnswer: http.StatusBadGateway, CodeEnding: http.StatusServiceUnavailable,
	"internal": http.StatusInternalServerError}

func (r *Refusal) status() int {
	if status, found := statusOf[r.Code]; found {
		return status
	}
	return http.StatusConflict
}

// refuse shows the page with the reason why a job was not begun.
func (b *Board) refuse(w http.ResponseWriter, v View, err error) {
	r := refusal(err)
	b.render(w, r.status(), "refused", question{View: v, Refusal: r})
}

// dismiss removes the outcome of the last job from the page, for all viewers.
func (b *Board) dismiss(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	if b.outcome != nil && b.outcome.ID == r.PostFormValue("id") {
		b.outcome = nil
		b.wake()
	}
	b.mu.Unlock()
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// render writes a whole page. If the page cannot be rendered, it writes only an
// error.
func (b *Board) render(w http.ResponseWriter, status int, name string, data any) {
	text, err := rendered(name, data)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text) // if the client has gone, nobody needs the page
}

func rendered(name string, data any) ([]byte, error) {
	var text bytes.Buffer
	err := pages.ExecuteTemplate(&text, name, data)
	return text.Bytes(), err
}

// refusal returns err if it is a [Refusal]. Otherwise it returns a new Refusal
// with the text of err.
func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{Code: "internal", Text: strings.TrimSpace(err.Error())}
}
