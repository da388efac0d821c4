package rustdesk

import (
	"errors"
	"strings"
	"testing"

	"github.com/proxstation/proxstation"
)

func TestParseServerReadsWhatRustDeskReads(t *testing.T) {
	t.Parallel()
	licensed := Server{ID: "1.1.1.1", Key: proxstation.NewSecret("5Qbwsde3unUcJBtrx9ZkvUmwFNoExHzpryHuPUdqlWM=")}
	const text = "0nI900VsFHZVBVdIlncwpHS4V0bOZ0dtVldrpVO4JHdCp0YV5WdzUGZzdnYRVjI6ISeltmIsISMuEjLx4SMiojI0N3boJye"
	named := Server{ID: "server.example.net", Key: proxstation.NewSecret("Zm9vYmFyLiwyCg==")}
	relayed := named
	relayed.Relay = "relay.example.net"
	// These strings come from RustDesk's own tests (src/custom_server.rs).
	for _, test := range []struct {
		text string
		want Server
	}{
		{text, licensed},
		{text + ".exe", licensed},
		{"rustdesk-licensed-" + text + ".exe", licensed},
		{"rustdesk-licensed-" + text + "(1).exe", licensed},
		{"rustdesk--" + text + "(1).exe", licensed},
		{"rustdesk-licensed-" + text + " (1) (2).exe", licensed},
		{"rustdesk-licensed-" + text + "--abc.exe", licensed},
		{"rustdesk-licensed---" + text + "--.exe.exe", licensed},
		{"rustdesk-host=server.example.net.exe", Server{ID: "server.example.net"}},
		{"rustdesk-host=server.example.net,.exe", Server{ID: "server.example.net"}},
		{"rustdesk-host=server.example.net,key=Zm9vYmFyLiwyCg==,(1).exe", named},
		{"rustdesk-Host=server.example.net,Key=Zm9vYmFyLiwyCg==,RELAY=relay.example.net.EXE", relayed},
	} {
		got, err := ParseServer(test.text)
		if err != nil || !sameServer(got, test.want) {
			t.Errorf("%s: %+v, %v, want %+v", test.text, got, err, test.want)
		}
	}
	for _, text := range []string{"", "rustdesk.exe", "rustdesk", "host=", "fA", strings.Repeat("-", 99)} {
		if server, err := ParseServer(text); !errors.Is(err, ErrServer) && !server.Public() {
			t.Errorf("%q: %+v, %v, want ErrServer", text, server, err)
		}
	}
}

func sameServer(a, b Server) bool {
	return a.ID == b.ID && a.Relay == b.Relay && a.API == b.API && a.Key.Equal(b.Key)
}

func TestServerThatRustDeskWouldMisread(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]Server{
		"relay without id":    {Relay: "relay.example"},
		"key without id":      {Key: proxstation.NewSecret(testKey)},
		"port 0":              {ID: "a:0"},
		"port 65536":          {ID: "a", Relay: "b:65536"},
		"a malformed port":    {ID: "a:https"},
		"no port":             {ID: "a:"},
		"URL":                 {ID: "https://a"},
		"path":                {ID: "a/b"},
		"brackets only":       {ID: "[fd00::1]"},
		"short IPv6":          {ID: "::1"},
		"two hosts":           {ID: "a", Relay: "b,c"},
		"no host":             {ID: ":21116"},
		"short key":           {ID: "a", Key: proxstation.NewSecret("abc=")},
		"key without padding": {ID: "a", Key: proxstation.NewSecret(strings.TrimSuffix(testKey, "="))},
		"private key":         {ID: "a", Key: proxstation.NewSecret(strings.Repeat("A", 86) + "==")},
		"api with password":   {ID: "a", API: "https://me:pw@b"},
		"comma in host":       {ID: "a,key=b"},
		"space in host":       {ID: "a b"},
		"quote in relay":      {ID: "a", Relay: `b"`},
		"api is no URL":       {ID: "a", API: "api.example"},
		"key with line break": {ID: "a", Key: proxstation.NewSecret(testKey[:10] + "\n" + testKey[10:])},
	} {
		err := server.Validate()
		if !errors.Is(err, ErrServer) {
			t.Errorf("%s: %v, want ErrServer", name, err)
		}
		if _, err := server.ConfigString(); !errors.Is(err, ErrServer) {
			t.Errorf("%s: ConfigString: %v, want ErrServer", name, err)
		}
		if _, err := server.FileName(); !errors.Is(err, ErrServer) {
			t.Errorf("%s: FileName: %v, want ErrServer", name, err)
		}
	}
	for _, id := range []string{"a", "rd.home.example", "rd_1", "10.0.0.2", "10.0.0.2:65535", "fd00::1", "[fd00::1]:21116"} {
		if err := (Server{ID: id, Relay: id, Key: proxstation.NewSecret(testKey)}).Validate(); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	slash := strings.Replace(testKey, "+", "/", 1)
	for _, server := range []Server{{ID: "a:21116"}, {ID: "a", API: "https://b"}, {ID: "a", Key: proxstation.NewSecret(slash)}} {
		if name, err := server.FileName(); !errors.Is(err, ErrServer) {
			t.Errorf("%+v: file name %q, %v, want ErrServer", server, name.Reveal(), err)
		}
	}
}

func FuzzParseServer(f *testing.F) {
	f.Add("rustdesk-host=server.example.net,key=Zm9v,relay=r.example,.exe")
	f.Add("0nI900VsFHZVBVdIlncwpHS4V0bOZ0dtVldrpVO4JHdCp0YV5WdzUGZzdnYRVjI6ISeltmIsISMuEjLx4SMiojI0N3boJye")
	f.Add("rustdesk-host=\xff\xff\xff.exe") // this text gets longer in lower case
	f.Add("\u212austdesk-host=a.exe")       // this text gets shorter in lower case
	f.Fuzz(func(t *testing.T, text string) {
		server, err := ParseServer(text)
		if err != nil {
			return
		}
		printed, err := server.ConfigString()
		if err != nil {
			return // RustDesk could not use this server
		}
		if again, err := ParseServer(printed.Reveal()); err != nil || !sameServer(again, server) {
			t.Errorf("%+v became %+v, %v", server, again, err)
		}
		if name, err := server.FileName(); err == nil && !server.Public() {
			if again, err := ParseServer(name.Reveal()); err != nil || !sameServer(again, server) {
				t.Errorf("by its file name, %+v became %+v, %v", server, again, err)
			}
		}
	})
}
