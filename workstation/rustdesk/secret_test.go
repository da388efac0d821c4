package rustdesk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func TestSecretsOfAConfigAreNeverPrinted(t *testing.T) {
	t.Parallel()
	const text = "hunter2-hunter2"
	s := proxstation.NewSecret(text)
	config := Unattended(Server{ID: "id.example", Key: proxstation.NewSecret(testKey)}, s)
	script, err := Setup{OS: Linux, Config: &config}.Script()
	if err != nil {
		t.Fatal(err)
	}
	hidden := struct{ inner proxstation.Secret }{s}
	var out bytes.Buffer
	for _, value := range []any{s, &s, config, &config, script, &script, hidden, &hidden, []proxstation.Secret{s}, map[string]proxstation.Secret{"a": s}, Diff(Config{}, config)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
			_, _ = fmt.Fprintf(&out, verb+"\n", value)
		}
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(encoded)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "value", value)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "value", value)
	}
	parsed, err := ParseFile("[options]\nkey = '" + testKey + "'\n")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = fmt.Fprintf(&out, "%+v %#v", parsed, parsed)
	for _, form := range []string{text, testKey, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprint([]byte(text))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret was printed as %s", form)
		}
	}
}
