package pvetest_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/proxstation/proxstation/workstation/pvetest"
)

// An answer over the network is the same as an answer in memory. The first line
// of the message is in the status line, and the whole message is in the body.
func TestAnswersOverTheNetwork(t *testing.T) {
	t.Parallel()
	host := machines(vm(140, ""))
	started := pvetest.New(host, nil).Start()
	t.Cleanup(started.Close)
	for _, node := range []*pvetest.Node{started, pvetest.New(host, nil)} {
		node.Inject(pvetest.Fault{Path: "/cluster/status", Kind: pvetest.Refuse, Message: "first\nsecond"})
		node.Inject(pvetest.Fault{Path: "/nodes", Kind: pvetest.ProxyTimeout})
		l := &lab{Node: node, t: t, login: withToken(rootToken)}
		for path, want := range map[string]string{
			"/version":                 "200 OK <nil>",
			"/cluster/status":          "500 first first\nsecond\n",
			"/nodes":                   "596 Broken pipe <nil>",
			"/no/such":                 "501 Method 'GET /no/such' not implemented Method 'GET /no/such' not implemented",
			"/cluster/acme/tos":        "501 PVE has 'GET /cluster/acme/tos', the embedded node does not serve it PVE has",
			"/nodes/pve/qemu/7/config": "400 Parameter verification failed. Parameter verification failed.\n",
			"/nodes/other/status":      "500 hostname lookup 'other' failed - failed to get address info for: other: Name or service not known ",
		} {
			r := l.do("GET", path)
			if got := fmt.Sprintf("%d %s %v", r.status, r.reason, r.message); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	}
}

func TestStartedNode(t *testing.T) {
	t.Parallel()
	node := pvetest.New(pvetest.Reference(), nil).Start()
	t.Cleanup(node.Close)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: node.CertPool(), MinVersion: tls.VersionTLS12}}}
	l := &lab{Node: node, t: t, login: withToken(rootToken)}
	request, err := http.NewRequestWithContext(t.Context(), "GET", node.URL()+"/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	l.login(request)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if sum := sha256.Sum256(response.TLS.PeerCertificates[0].Raw); strings.ReplaceAll(node.Fingerprint(), ":", "") != strings.ToUpper(hex.EncodeToString(sum[:])) {
		t.Errorf("fingerprint %s", node.Fingerprint())
	}
}

// PVE accepts parameters in the query, and in a body that is a form or JSON.
func TestParameters(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(vm(140, ""), vm(141, "")), func(l *lab) {
		send := func(method, path, kind, body string) result {
			request, err := http.NewRequestWithContext(l.t.Context(), method, l.URL()+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", kind)
			l.login(request)
			return l.send(request)
		}
		for i, r := range []result{
			send("PUT", configPath, "application/json", `{"cores": 3, "onboot": true, "name": "three", "tags": null}`),
			send("PUT", configPath+"?sockets=2", "application/x-www-form-urlencoded", "memory=4096"),
			send("DELETE", "/nodes/pve/qemu/141", "application/json", ""),
		} {
			if r.status != 200 {
				t.Errorf("%d: %v", i, r)
			}
		}
		if r := send("PUT", configPath, "application/json", `{"vmid": 141}`); r.status != 400 {
			t.Errorf("another VM in the body than in the path: %v", r)
		}
		got := l.object(configPath)
		for key, want := range map[string]any{"cores": 3.0, "onboot": 1.0, "name": "three", "sockets": 2.0, "memory": "4096", "tags": nil} {
			if got[key] != want {
				t.Errorf("%s = %#v, want %#v", key, got[key], want)
			}
		}
		time.Sleep(time.Minute)
		if len(l.VMs()) != 1 {
			t.Errorf("VMs: %v", l.VMs())
		}
	})
}

// The trace contains no secrets.
func TestTraceKeepsSecrets(t *testing.T) {
	t.Parallel()
	inBubble(t, machines(running(140, "agent:=1")), func(l *lab) {
		l.asRoot()
		time.Sleep(time.Minute)
		l.want("PUT", configPath, "cipassword", "hush-hush", "ciuser", "me")
		l.want("POST", agentPath+"file-write", "file", "/key", "content", "hush-hush")
		text := ""
		for _, r := range l.Trace() {
			text += fmt.Sprintln(r, r.Params)
		}
		if strings.Contains(text, "hush") || strings.Contains(text, "secret") || !strings.Contains(text, "ciuser:me") {
			t.Errorf("trace: %s", text)
		}
		if got := l.object(configPath); got["cipassword"] != "**********" {
			t.Errorf("cipassword: %v", got["cipassword"])
		}
	})
}

func TestUpload(t *testing.T) {
	t.Parallel()
	sum := sha256.Sum256([]byte("an image"))
	for name, tt := range map[string]struct {
		storage, content, file, checksum, want string
	}{
		"an ISO":          {"local", "iso", "x.iso", hex.EncodeToString(sum[:]), "OK"},
		"to import":       {"local", "import", "x.qcow2", "", "OK"},
		"wrong checksum":  {"local", "iso", "x.iso", strings.Repeat("0", 64), "checksum mismatch: got '" + hex.EncodeToString(sum[:]) + "' != expect '" + strings.Repeat("0", 64) + "'"},
		"no ISO":          {"local", "iso", "x.exe", "", "400 Parameter verification failed. filename: wrong file extension"},
		"no files there":  {"local-lvm", "iso", "x.iso", "", "500 can't upload to storage type 'lvmthin'"},
		"no such storage": {"nowhere", "iso", "x.iso", "", "500 storage 'nowhere' does not exist"},
		"unknown content": {"local", "music", "x.iso", "", "400 Parameter verification failed. content: invalid format - invalid content type 'music'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, machines(), func(l *lab) {
				var body bytes.Buffer
				form := multipart.NewWriter(&body)
				_ = form.WriteField("content", tt.content)
				if tt.checksum != "" {
					_ = form.WriteField("checksum", tt.checksum)
					_ = form.WriteField("checksum-algorithm", "sha256")
				}
				part, _ := form.CreateFormFile("filename", tt.file)
				_, _ = part.Write([]byte("an image"))
				form.Close()
				request, err := http.NewRequestWithContext(l.t.Context(), "POST", l.URL()+"/nodes/pve/storage/"+tt.storage+"/upload", &body)
				if err != nil {
					t.Fatal(err)
				}
				request.Header.Set("Content-Type", form.FormDataContentType())
				l.login(request)
				r := l.send(request)
				got := strings.TrimSpace(fmt.Sprintf("%d %s %s", r.status, r.reason, flat(r.errors)))
				if upid, isTask := r.data.(string); isTask {
					got = l.wait(upid)
				}
				if got != tt.want {
					t.Errorf("%q, want %q", got, tt.want)
				}
				entry := fmt.Sprint(l.list("/nodes/pve/storage/local/content", "content", "iso"), l.list("/nodes/pve/storage/local/content", "content", "import"))
				if there := strings.Contains(entry, "/x."); there != (tt.want == "OK") || there && !strings.Contains(entry, "size:8") {
					t.Errorf("on the storage: %s", entry)
				}
			})
		})
	}
}

func TestDownload(t *testing.T) {
	t.Parallel()
	host := machines()
	host.Downloads = map[string]int64{"https://example.org/a.iso": 5 << 30, "https://example.org/huge.iso": 1 << 50}
	inBubble(t, host, func(l *lab) {
		get := func(url string) string {
			return l.task("POST", "/nodes/pve/storage/local/download-url", "content", "iso", "filename", url[strings.LastIndex(url, "/")+1:], "url", url)
		}
		for _, tt := range [][2]string{
			{"https://example.org/a.iso", "OK"},
			{"https://example.org/a.iso", "refusing to override existing file 'a.iso'"},
			{"https://example.org/b.iso", "download failed: command '/usr/bin/wget' failed: exit code 8"},
			{"https://example.org/huge.iso", "download failed: No space left on device"},
			{"ftp://example.org/a.iso", "400 Parameter verification failed. url: value does not match the regex pattern"},
		} {
			if got := get(tt[0]); got != tt[1] {
				t.Errorf("%s: %q, want %q", tt[0], got, tt[1])
			}
		}
	})
}

// A host can be written as JSON and read again.
func TestHostsAsJSON(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]pvetest.Host{"reference": pvetest.Reference(), "AMD": pvetest.AMD(), "shared group": pvetest.SharedGroup()} {
		text, err := json.Marshal(host)
		if err != nil {
			t.Fatal(err)
		}
		var again pvetest.Host
		if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(host, again) {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
		if keys := regexp.MustCompile(`"[A-Z]\w*":`).FindAllString(string(text), -1); len(keys) > 0 {
			t.Errorf("%s: keys that are not lowerCamel: %v", name, keys)
		}
	}
}

// Every host answers all list methods in the table.
func TestEveryHostAnswers(t *testing.T) {
	t.Parallel()
	for name, host := range map[string]pvetest.Host{"reference": pvetest.Reference(), "AMD": pvetest.AMD(), "shared group": pvetest.SharedGroup(), "bare": {Name: "pve", Version: "9.1.1"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, host, func(l *lab) {
				l.asRoot()
				for path := range strings.FieldsSeq(`/nodes /nodes/pve/network /nodes/pve/lxc /nodes/pve/hardware/pci /nodes/pve/hardware/usb
					/nodes/pve/capabilities/qemu/cpu /nodes/pve/capabilities/qemu/machines /storage /nodes/pve/storage /nodes/pve/disks/list
					/nodes/pve/disks/lvmthin /nodes/pve/disks/zfs /nodes/pve/disks/directory /nodes/pve/qemu /nodes/pve/tasks /cluster/mapping/pci
					/cluster/resources /cluster/status /cluster/tasks /cluster/ha/resources /cluster/backup`) {
					l.list(path)
				}
				for path := range strings.FieldsSeq("/version /nodes/pve/status /nodes/pve/version /nodes/pve/time /nodes/pve/disks/lvm /access/permissions") {
					l.object(path)
				}
				for _, disk := range l.list("/nodes/pve/disks/list", "include-partitions", "1") {
					d, _ := disk.(map[string]any)
					if _, isText := d["rpm"].(string); d["type"] == "hdd" && !isText {
						t.Errorf("rpm of %v is %T", d["devpath"], d["rpm"])
					}
				}
				for _, pool := range l.list("/nodes/pve/disks/zfs") {
					z, _ := pool.(map[string]any)
					l.object(fmt.Sprintf("/nodes/pve/disks/zfs/%v", z["name"]))
				}
			})
		})
	}
}
