package pvetest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/proxstation/proxstation/internal/pveschema"
)

// kind returns the content type of a volume by its name: "iso", "images".
func (v *Volume) kind() string {
	if first, _, found := strings.Cut(v.Name, "/"); found && first != text(v.VMID) {
		return first
	}
	return "images"
}

// content is GET content: what the caller may see of what lies on a storage.
func (n *Node) content(c *call) answer {
	s := n.storages[c.get("storage")]
	switch {
	case s == nil:
		return fail(http.StatusInternalServerError, "storage '%s' does not exist", c.get("storage"))
	case s.Inactive:
		return fail(http.StatusInternalServerError, "storage '%s' is not online", s.Name)
	}
	list := []map[string]any{}
	for _, name := range sorted(s.volumes) {
		v := s.volumes[name]
		if c.has("content") && c.get("content") != v.kind() || c.has("vmid") && c.number("vmid") != v.VMID {
			continue
		}
		if v.VMID != 0 && !c.who.may("/storage/"+s.Name, "Datastore.Allocate") &&
			!(c.who.may("/storage/"+s.Name, "Datastore.Audit") && c.who.may(vmPath(v.VMID), "VM.Config.Disk")) {
			continue
		}
		entry := map[string]any{"volid": s.Name + ":" + name, "content": v.kind(), "format": cmp.Or(v.Format, "raw"), "size": v.Size, "ctime": n.began.Unix()}
		if v.VMID != 0 {
			entry["vmid"] = v.VMID
		}
		list = append(list, entry)
	}
	return ok(list)
}

// volumeOf returns the volume of a call, named in full or within its storage.
func (n *Node) volumeOf(c *call) (s *storage, v *Volume, a answer) {
	id := c.get("volume")
	if !strings.Contains(id, ":") {
		id = c.get("storage") + ":" + id
	}
	s, name, there := n.volume(id)
	switch {
	case s == nil:
		return nil, nil, fail(http.StatusInternalServerError, "storage '%s' does not exist", c.get("storage"))
	case !there:
		return s, nil, fail(http.StatusInternalServerError, "volume '%s' does not exist", id)
	}
	return s, s.volumes[name], answer{}
}

func (n *Node) oneVolume(c *call) answer {
	s, v, refused := n.volumeOf(c)
	if v == nil {
		return refused
	}
	if !c.who.maySee(s.Name) {
		return fail(http.StatusForbidden, "Permission check failed (/storage/%s, Datastore.AllocateSpace|Datastore.Audit)", s.Name)
	}
	path := cmp.Or(s.Config["path"], "/dev/"+cmp.Or(s.Config["vgname"], s.Config["pool"])) + "/" + v.Name
	return ok(map[string]any{"path": path, "size": v.Size, "used": v.Size, "format": cmp.Or(v.Format, "raw")})
}

func (n *Node) allocateVolume(c *call) answer {
	size := parseSize(c.get("size"))
	if !strings.ContainsAny(c.get("size"), "MG") {
		size <<= 10 // PVE takes a plain number for KiB
	}
	id, problem := n.allocate(c.get("storage"), strings.TrimSuffix(c.get("filename"), ".raw"), size, c.number("vmid"))
	if problem != "" {
		return fail(http.StatusInternalServerError, "%s", problem)
	}
	return ok(id)
}

// deleteVolume is DELETE content/{volume}. PVE does not look whether a VM
// still names it.
func (n *Node) deleteVolume(c *call) answer {
	s, v, refused := n.volumeOf(c)
	if v == nil {
		return refused
	}
	if a, allowed := c.who.needs("/storage/"+s.Name, "Datastore.Allocate"); !allowed {
		return a
	}
	id := s.Name
	if v.VMID != 0 {
		id = text(v.VMID) + "@" + s.Name
	}
	return n.do(c, job{kind: "imgdel", id: id, takes: n.taskTime(), work: func(t *task) string {
		delete(s.volumes, v.Name)
		t.say("Removed volume '%s:%s'", s.Name, v.Name)
		return ""
	}})
}

var extensions = map[string]*regexp.Regexp{
	"iso":    regexp.MustCompile(`(?i)\.(iso|img)$`),
	"vztmpl": regexp.MustCompile(`(?i)\.tar\.(gz|xz|zst|bz2)$`),
	"import": regexp.MustCompile(`(?i)\.(ova|ovf|qcow2|raw|vmdk|img)$`),
}

// newFile checks a file that is to be written to a storage.
func (n *Node) newFile(c *call) (*storage, answer, bool) {
	s, content, name := n.storages[c.get("storage")], c.get("content"), c.get("filename")
	switch {
	case s == nil:
		return nil, fail(http.StatusInternalServerError, "storage '%s' does not exist", c.get("storage")), false
	case !s.files():
		return nil, fail(http.StatusInternalServerError, "can't upload to storage type '%s'", s.Type), false
	case !extensions[content].MatchString(name) || strings.Contains(name, "/"):
		return nil, invalid(map[string]string{"filename": "wrong file extension"}), false
	case !s.holds(content):
		return nil, fail(http.StatusInternalServerError, "storage '%s' does not support '%s' content", s.Name, content), false
	}
	return s, answer{}, true
}

func (s *storage) keep(content, name string, size int64) {
	format := content
	if content == "import" {
		format = name[strings.LastIndex(name, ".")+1:]
	}
	s.volumes[content+"/"+name] = &Volume{Name: content + "/" + name, Size: size, Format: format}
}

// upload is POST upload. What is in the file is not kept, only how long it is.
func (n *Node) upload(c *call) answer {
	s, a, good := n.newFile(c)
	if !good {
		return a
	}
	sum, size := c.get("checksum"), c.uploaded.size
	if c.get("checksum-algorithm") == "sha256" && sum != "" && sum != c.uploaded.sha256 {
		return n.do(c, job{kind: "imgcopy", takes: n.taskTime(), work: func(*task) string {
			return fmt.Sprintf("checksum mismatch: got '%s' != expect '%s'", c.uploaded.sha256, sum)
		}})
	}
	return n.do(c, job{kind: "imgcopy", takes: n.taskTime(), work: func(t *task) string {
		if size > s.Total-s.used() {
			return "import failed: No space left on device"
		}
		s.keep(c.get("content"), c.get("filename"), size)
		t.say("finished file import successfully")
		return ""
	}})
}

// download is POST download-url: the node fetches what the host's description
// has under Downloads.
func (n *Node) download(c *call) answer {
	s, a, good := n.newFile(c)
	if !good {
		return a
	}
	name := c.get("filename")
	return n.do(c, job{kind: "download", id: name, takes: 20 * time.Second, work: func(t *task) string {
		size, known := n.host.Downloads[c.get("url")]
		switch {
		case s.volumes[c.get("content")+"/"+name] != nil:
			return fmt.Sprintf("refusing to override existing file '%s'", name)
		case !known:
			t.say("ERROR 404: Not Found.")
			return "download failed: command '/usr/bin/wget' failed: exit code 8"
		case size > s.Total-s.used():
			return "download failed: No space left on device"
		}
		s.keep(c.get("content"), name, size)
		t.say("download of '%s' to '%s' finished", c.get("url"), name)
		return ""
	}})
}

// An uploaded file is what is left of one: its length and checksum.
type uploaded struct {
	size   int64
	sha256 string
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
