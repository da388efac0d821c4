package lab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestFindNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	if _, err := Find(t.TempDir()); !errors.Is(err, ErrMissing) {
		t.Errorf("Find = %v, want ErrMissing", err)
	}
	if _, err := Tools(t.Context(), "no-such-program"); !errors.Is(err, ErrMissing) {
		t.Errorf("Tools = %v, want ErrMissing", err)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	slow, exit := errors.New("deadline"), errors.New("exit status 1")
	panicked := "[    9.1] Kernel panic - not syncing: sysrq triggered crash\n"
	for _, test := range []struct {
		outcome   Outcome
		ctx, qemu error
		want      error
	}{
		{Outcome{done: true}, nil, nil, nil},
		{Outcome{}, nil, nil, ErrUnfinished},
		{Outcome{}, nil, exit, ErrUnfinished},
		{Outcome{failed: "no disks"}, nil, nil, ErrUnfinished},
		{Outcome{}, slow, exit, ErrHang},
		{Outcome{Console: panicked}, nil, nil, ErrPanic},
		{Outcome{Console: panicked, done: true}, nil, nil, ErrPanic},
		{Outcome{Console: panicked}, slow, exit, ErrPanic},
	} {
		if err := test.outcome.verdict(test.ctx, test.qemu); !errors.Is(err, test.want) {
			t.Errorf("verdict of %+v, %v, %v = %v, want %v", test.outcome, test.ctx, test.qemu, err, test.want)
		}
	}
}

func TestParseLdd(t *testing.T) {
	t.Parallel()
	got := parseLdd("\tlinux-vdso.so.1 (0x00007ffd)\n\tlibaio.so.1 => /lib/x86_64-linux-gnu/libaio.so.1 (0x00007f1c)\n" +
		"\t/lib64/ld-linux-x86-64.so.2 (0x00007f1d)\n\tlibgone.so => not found\n")
	if want := []string{"/lib/x86_64-linux-gnu/libaio.so.1", "/lib64/ld-linux-x86-64.so.2"}; !slices.Equal(got, want) {
		t.Errorf("parseLdd = %q, want %q", got, want)
	}
}

func FuzzEvents(f *testing.F) {
	f.Add("{\"action\":\"begin\",\"command\":\"a\"}\r\n{\"action\":\"end\",\"command\":\"a\",\"exit\":2}\nnoise\n{\"action\":\"do")
	f.Fuzz(func(t *testing.T, text string) {
		events := func(r io.Reader) (all []Event) {
			if err := readEvents(r, func(e Event) { all = append(all, e) }); err != nil {
				t.Fatal(err)
			}
			return all
		}
		first := events(strings.NewReader(text))
		var o Outcome
		var printed bytes.Buffer
		for _, e := range first {
			o.note(e)
			if err := json.NewEncoder(&printed).Encode(e); err != nil {
				t.Fatal(err)
			}
		}
		if again := events(&printed); !reflect.DeepEqual(first, again) {
			t.Errorf("%+v printed and parsed is %+v", first, again)
		}
	})
}

func TestInitramfs(t *testing.T) {
	t.Parallel()
	var archive bytes.Buffer
	files := map[string]file{"init": {0o755, []byte("hello")}, "lib/a/b.so": {0o644, nil}, "lib/a/c": {0o644, []byte("four")}}
	if err := writeInitramfs(&archive, files); err != nil {
		t.Fatal(err)
	}
	want := []string{"40755 lib ", "40755 lib/a ", "100755 init hello", "100644 lib/a/b.so ", "100644 lib/a/c four"}
	if got := readArchive(t, archive.Bytes()); !slices.Equal(got, want) {
		t.Errorf("the archive has %q, want %q", got, want)
	}
}

// readArchive returns mode, name and content of each entry. In the format of
// cpio(5), an entry is a magic number, 13 numbers of eight digits, the name and
// the data. Name and data are padded.
func readArchive(t *testing.T, data []byte) (entries []string) {
	t.Helper()
	for at := 0; ; {
		number := func(i int) int {
			n, err := strconv.ParseUint(string(data[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		mode, size, length := number(1), number(6), number(11)
		if string(data[at:at+6]) != "070701" {
			t.Fatalf("no magic at %d", at)
		}
		name := string(data[at+110 : at+110+length-1])
		body := (at + 110 + length + 3) / 4 * 4
		if name == "TRAILER!!!" {
			return entries
		}
		entries = append(entries, fmt.Sprintf("%o %s %s", mode, name, data[body:body+size]))
		at = (body + size + 3) / 4 * 4
	}
}
