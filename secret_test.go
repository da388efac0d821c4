package proxstation_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	const text = "hunter2-hunter2"
	s := proxstation.NewSecret(text)
	hidden := struct{ inner proxstation.Secret }{s}
	var out bytes.Buffer
	for _, value := range []any{s, &s, hidden, &hidden, []proxstation.Secret{s}, map[string]proxstation.Secret{"a": s}} {
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
	for _, form := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprint([]byte(text))} {
		if strings.Contains(out.String(), form) {
			t.Errorf("the secret was printed as %s", form)
		}
	}
	if s.Reveal() != text || !s.Equal(proxstation.NewSecret(text)) || s.IsZero() || !proxstation.NewSecret("").IsZero() {
		t.Error("Reveal, Equal or IsZero")
	}
	if err := json.Unmarshal([]byte(`"[secret]"`), &s); err == nil {
		t.Error("a mask was read as a secret")
	}
}
