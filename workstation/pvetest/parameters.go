package pvetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// parameters reads the query, and a body in either of the two forms that PVE
// takes: a form, or JSON.
func parameters(r *http.Request) (values pveschema.Values, file uploaded, err error) {
	values = pveschema.Values(r.URL.Query())
	kind, options, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind == "multipart/form-data" {
		file, err = multipartForm(r.Body, options["boundary"], values)
		return values, file, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return values, file, err
	case len(body) > maxBody:
		return values, file, fmt.Errorf("for data too large")
	case r.Method != http.MethodPost && r.Method != http.MethodPut:
		return values, file, nil // PVE looks into no other body
	case kind == "application/json" && len(body) > 0:
		var object map[string]any
		if err := json.Unmarshal(body, &object); err != nil {
			return values, file, fmt.Errorf("unable to decode JSON parameters: %w", err)
		}
		for name, value := range object {
			if value != nil {
				values[name] = texts(value)
			}
		}
		return values, file, nil
	}
	form, err := url.ParseQuery(string(body))
	maps.Copy(values, form)
	return values, file, err
}

// maxBody is the largest body of a request that is no upload (pve-http-server
// PVE/APIServer/AnyEvent.pm, $limit_max_post).
const maxBody = 512 << 10

// texts gives JSON values the form they have in a form.
func texts(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{map[bool]string{false: "0", true: "1"}[v]}
	case float64:
		return []string{strconv.FormatFloat(v, 'f', -1, 64)}
	case []any:
		var list []string
		for _, element := range v {
			list = append(list, texts(element)...)
		}
		return list
	}
	text, _ := json.Marshal(value) // it came from JSON
	return []string{string(text)}
}

// public returns the parameters without what is secret.
func public(path string, values pveschema.Values) map[string]string {
	shown := map[string]string{}
	for name := range values {
		shown[name] = values.Get(name)
		if strings.Contains(name, "password") || strings.Contains(path, "/agent/") || name == "sshkeys" {
			shown[name] = "..."
		}
	}
	return shown
}

// multipartForm reads an upload: its fields, and the length of its file.
func multipartForm(body io.Reader, boundary string, values pveschema.Values) (file uploaded, err error) {
	reader := multipart.NewReader(body, boundary)
	for {
		part, err := reader.NextPart()
		if err == io.EOF { //nolint:errorlint // NextPart documents io.EOF itself
			return file, nil
		}
		if err != nil {
			return file, err
		}
		if part.FileName() == "" {
			value, err := io.ReadAll(io.LimitReader(part, 1<<16))
			if err != nil {
				return file, err
			}
			values[part.FormName()] = []string{string(value)}
			continue
		}
		sum := sha256.New()
		if file.size, err = io.Copy(sum, part); err != nil {
			return file, err
		}
		file.sha256 = hex.EncodeToString(sum.Sum(nil))
		values["filename"] = []string{part.FileName()}
	}
}
