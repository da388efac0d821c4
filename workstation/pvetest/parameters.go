package pvetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"
	"strings"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// The function "parameters" reads the query and the body. The body is a form or
// JSON. If both have a parameter, the query's value is used. The error messages
// come from pve-http-server PVE/APIServer/AnyEvent.pm.
func parameters(r *http.Request) (values pveschema.Values, file uploaded, err error) {
	query := decodeForm(r.URL.RawQuery)
	kind, boundary := contentType(r.Header.Get("Content-Type"))
	writes := r.Method == http.MethodPost || r.Method == http.MethodPut
	switch {
	case r.ProtoMajor == 1 && len(r.TransferEncoding) > 0:
		return query, file, plainly(http.StatusNotImplemented, "chunked transfer encoding not supported")
	case kind == "multipart/form-data" && boundary != "" && strings.HasSuffix(strings.TrimRight(r.URL.Path, "/"), "/upload"):
		file, err = multipartForm(r.Body, boundary, query)
		return query, file, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return query, file, err
	case len(body) == 0:
		return query, file, nil
	case !writes:
		return query, file, plainly(http.StatusNotImplemented, "Unexpected content for method '"+r.Method+"'")
	case len(body) > maxBody:
		return query, file, plainly(http.StatusNotImplemented, "for data too large")
	case kind == "application/json":
		values, err = decodeJSON(body)
	case kind == "" || kind == "application/x-www-form-urlencoded":
		values = decodeForm(string(body))
	default:
		return query, file, plainly(506, "upload 'Content-Type '"+r.Header.Get("Content-Type")+"' not implemented")
	}
	for name, value := range query {
		values[name] = value
	}
	return values, file, err
}

// contentType splits a Content-Type header into type and boundary
// (parse_content_type).
func contentType(header string) (kind, boundary string) {
	fields := strings.FieldsFunc(header, func(r rune) bool { return r == ';' || r == ',' })
	for i, field := range fields {
		field = strings.TrimSpace(field)
		if i == 0 {
			kind = field
		} else if name, value, found := strings.Cut(field, "="); found && strings.TrimSpace(name) == "boundary" {
			boundary = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return kind, boundary
}

// decodeForm parses a query or a form as PVE does (decode_urlencoded). It drops
// text after a second "=". Both ";" and "&" separate parameters. A "%" without
// two digits is kept.
//
// There is one difference. PVE ignores a parameter with an empty value in a
// form, but decodeForm keeps it.
func decodeForm(data string) pveschema.Values {
	values := pveschema.Values{}
	for pair := range strings.FieldsFuncSeq(data, func(r rune) bool { return r == '&' || r == ';' }) {
		parts := strings.Split(pair, "=")
		name := unescape(strings.ReplaceAll(parts[0], "+", " "))
		if len(parts) == 1 || name == "_dc" { // clients send _dc only to prevent an answer from a cache
			continue
		}
		value := unescape(strings.ReplaceAll(parts[1], "+", " "))
		values[name] = append(values[name], strings.ToValidUTF8(value, "\uFFFD"))
	}
	return values
}

// unescape decodes escapes such as "%2f". It keeps every other "%" unchanged.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func decodeJSON(body []byte) (pveschema.Values, error) {
	values := pveschema.Values{}
	var object map[string]any
	if err := json.Unmarshal(body, &object); err != nil {
		at := len(body)
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			at = min(int(syntax.Offset), len(body))
		}
		rest := string(body[at:])
		if rest == "" {
			rest = "(end of string)"
		}
		return values, plainly(http.StatusInternalServerError, fmt.Sprintf(
			"malformed JSON string, neither tag, array, object, number, string or atom, at character offset %d (before %q)", at, rest))
	}
	for name, value := range object {
		if value != nil {
			values[name] = texts(value)
		}
	}
	return values, nil
}

// maxBody is the largest size of a request's body, in bytes. Uploads may be
// larger (pve-http-server PVE/APIServer/AnyEvent.pm, $limit_max_post).
const maxBody = 512 << 10

// The function "texts" converts a JSON value to the texts that a form would
// contain.
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
	text, _ := json.Marshal(value) // cannot fail: the value was decoded from JSON
	return []string{string(text)}
}

// The function "public" returns the parameters that are not secret.
func public(path string, values pveschema.Values) map[string]string {
	shown := map[string]string{}
	for name := range values {
		shown[name] = values.Get(name)
		if strings.Contains(name, "password") || strings.Contains(path, "/agent/") || name == "sshkeys" || name == "encryption-key" {
			shown[name] = "..."
		}
	}
	return shown
}

// multipartForm reads an upload: the fields of its form, and the length of its
// file.
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
