package firstboot

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"github.com/proxstation/proxstation"
)

// A Seed is a CD for the first boot of one guest. Its files hold the guest's
// password, either readable or in a form from which the password can be
// guessed. A Seed should therefore be on a node only until the guest has read
// it. Printing a Seed shows only its name.
type Seed struct {
	guest string // the guest's name, which is part of the image's name
	label string // the volume's label
	files []file // sorted by name
	name  func() string
}

type file struct {
	name string
	data proxstation.Secret
}

func newSeed(guest, label string, contents map[string]string) Seed {
	s := Seed{guest: guest, label: label}
	for name, data := range contents {
		s.files = append(s.files, file{name, proxstation.NewSecret(data)})
	}
	slices.SortFunc(s.files, func(a, b file) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	s.name = sync.OnceValue(s.hashed)
	return s
}

// IsZero reports whether the Seed has no files.
func (s Seed) IsZero() bool { return len(s.files) == 0 }

// Label returns the label of the volume.
func (s Seed) Label() string { return s.label }

// Files returns the names of the files, sorted. All files are in the root of
// the CD.
func (s Seed) Files() []string {
	var names []string
	for _, f := range s.files {
		names = append(names, f.name)
	}
	return names
}

// ReadFile returns the content of a file, secrets included. The error for an
// unknown name is an [fs.PathError].
func (s Seed) ReadFile(name string) ([]byte, error) {
	for _, f := range s.files {
		if f.name == name {
			return []byte(f.data.Reveal()), nil
		}
	}
	return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
}

// nameRounds is the number of rounds of the hash in a Seed's name. With so many
// rounds, guessing the password from the name is about as expensive as guessing
// it from a hash of the password.
const nameRounds = 100_000

// Name returns the name of the image. It consists of the guest's name and a
// hash of the content, so that new content has a new name. The content holds a
// password, and everybody who may list a storage sees the name. The hash is
// therefore slow and short, so that it helps little in guessing the password.
func (s Seed) Name() string {
	if s.name == nil {
		return ""
	}
	return s.name()
}

func (s Seed) hashed() string {
	content := sha256.New()
	for _, f := range s.files {
		data := f.data.Reveal()
		fmt.Fprintf(content, "%d %s %d %s", len(f.name), f.name, len(data), data)
	}
	key, err := pbkdf2.Key(sha256.New, string(content.Sum(nil)), []byte("proxstation firstboot "+s.guest), nameRounds, 6)
	if err != nil {
		panic(err) // cannot happen: pbkdf2 accepts a key of 6 bytes
	}
	return "firstboot-" + s.guest + "-" + hex.EncodeToString(key) + ".iso"
}

// String returns the Seed's name.
func (s Seed) String() string { return s.Name() }
