package recovery

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// onDisk writes a disk into a file and returns its name.
func onDisk(t *testing.T, image []byte) (string, *Chunklist) {
	t.Helper()
	list, err := ParseChunklist(sign(t, image, testChunk, mustKey(t, ourKey)))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "recovery.raw")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	if err := WriteDisk(out, list, bytes.NewReader(image)); err != nil {
		t.Fatal(err)
	}
	info, err := out.Stat()
	if err != nil || info.Size() != DiskSize(list) || info.Size()%mebibyte != 0 {
		t.Errorf("%d bytes, want %d (%v)", info.Size(), DiskSize(list), err)
	}
	return name, list
}

// The test writes images whose sizes are at the limits of FAT's arithmetic. A
// cluster has 512 bytes, so an image of 513 bytes needs two clusters.
func TestDiskHoldsBothFiles(t *testing.T) {
	t.Parallel()
	for _, size := range []int{testSize, 512, 513, 1} {
		image := testImage(3, size)
		name, list := onDisk(t, image)
		disk, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		fat := fatDisk{t, disk}
		root := fat.list(fat.u32(44))
		if len(root) != 1 {
			t.Errorf("%d bytes: the root has %v", size, root)
		}
		folder := fat.list(root[Folder].cluster)
		for name, want := range map[string][]byte{ImageName: image, ChunklistName: list.Bytes()} {
			f, found := folder[name]
			if got := fat.read(f.cluster); !found || f.size != len(want) || !bytes.Equal(got[:f.size], want) {
				t.Errorf("%d bytes: %s is another file: %+v", size, name, f)
			}
		}
	}
}

// A fatDisk reads FAT32 by Microsoft's specification, from the disk's own
// parameters.
type fatDisk struct {
	t    *testing.T
	disk []byte
}

type fatFile struct {
	cluster uint32
	size    int
}

func (d fatDisk) u16(at int) int    { return int(binary.LittleEndian.Uint16(d.disk[at:])) }
func (d fatDisk) u32(at int) uint32 { return binary.LittleEndian.Uint32(d.disk[at:]) }

// The method "read" returns the clusters of a chain.
func (d fatDisk) read(cluster uint32) []byte {
	sector, perCluster, fat := d.u16(11), int(d.disk[13])*d.u16(11), d.u16(14)*d.u16(11)
	data := fat + int(d.disk[16])*int(d.u32(36))*sector
	var content []byte
	for cluster >= 2 && cluster < 0x0FFFFFF8 {
		at := data + int(cluster-2)*perCluster
		content = append(content, d.disk[at:at+perCluster]...)
		next := d.u32(fat + 4*int(cluster))
		if second := d.u32(fat + int(d.u32(36))*sector + 4*int(cluster)); second != next {
			d.t.Errorf("the tables differ at cluster %d", cluster)
		}
		cluster = next
	}
	return content
}

// The method "list" returns the files of a folder, by their long names.
func (d fatDisk) list(cluster uint32) map[string]fatFile {
	files := map[string]fatFile{}
	long := ""
	for entry := range slices.Chunk(d.read(cluster), 32) {
		switch {
		case entry[0] == 0:
			return files
		case entry[11] == 0x0F:
			units := append(append(bytes.Clone(entry[1:11]), entry[14:26]...), entry[28:32]...)
			part := ""
			for unit := range slices.Chunk(units, 2) {
				if unit[0] != 0xFF && unit[0] != 0 {
					part += string(unit[:1])
				}
			}
			long = part + long
		case entry[11]&0x08 == 0 && entry[0] != '.':
			le := binary.LittleEndian
			files[long] = fatFile{uint32(le.Uint16(entry[20:]))<<16 | uint32(le.Uint16(entry[26:])), int(le.Uint32(entry[28:]))}
			long = ""
		}
	}
	return files
}

func TestDiskPassesFsck(t *testing.T) {
	t.Parallel()
	fsck, err := exec.LookPath("fsck.fat")
	if err != nil {
		if fsck, err = exec.LookPath("/usr/sbin/fsck.fat"); err != nil {
			t.Skip("dosfstools is not installed")
		}
	}
	for _, size := range []int{testSize, 34 << 20, 270 << 20} { // 270 MiB has clusters of 4 KiB
		name, _ := onDisk(t, testImage(4, size))
		if out, err := exec.CommandContext(t.Context(), fsck, "-n", "-v", name).CombinedOutput(); err != nil {
			t.Errorf("%d bytes: %v\n%s", size, err, out)
		}
	}
}

func TestDiskIsReadByMtools(t *testing.T) {
	t.Parallel()
	mtype, err := exec.LookPath("mtype")
	if err != nil {
		t.Skip("mtools is not installed")
	}
	image := testImage(5, testSize)
	name, _ := onDisk(t, image)
	out, err := exec.CommandContext(t.Context(), mtype, "-i", name, "::"+Folder+"/"+ImageName).Output()
	if err != nil || !bytes.Equal(out, image) {
		t.Errorf("another image: %d bytes, %v", len(out), err)
	}
}

func TestDiskIsReproducible(t *testing.T) {
	t.Parallel()
	var sums [2][32]byte
	list, err := ParseChunklist(sign(t, testImage(6, testSize), testChunk, mustKey(t, ourKey)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sums {
		hash := sha256.New()
		if err := WriteDisk(hash, list, bytes.NewReader(testImage(6, testSize))); err != nil {
			t.Fatal(err)
		}
		sums[i] = [32]byte(hash.Sum(nil))
	}
	if sums[0] != sums[1] {
		t.Error("two disks from the same files differ")
	}
}

func TestWriteDiskRefuses(t *testing.T) {
	t.Parallel()
	image := testImage(7, testSize)
	list, err := ParseChunklist(sign(t, image, testChunk, mustKey(t, ourKey)))
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string][]byte{
		"another": testImage(8, testSize), "truncated": image[:testSize-1], "longer": append(bytes.Clone(image), 0),
	} {
		if err := WriteDisk(io.Discard, list, bytes.NewReader(other)); !errors.Is(err, ErrImage) {
			t.Errorf("%s image: %v, want ErrImage", name, err)
		}
	}
	for _, room := range []int{0, 100_000, 1_000_000, int(DiskSize(list)) - 1} {
		if err := WriteDisk(&full{room}, list, bytes.NewReader(image)); !errors.Is(err, io.ErrShortWrite) {
			t.Errorf("a full disk after %d bytes: %v", room, err)
		}
	}
	huge := &Chunklist{Chunks: []Chunk{{Size: 1<<32 - 1}, {Size: 1}}}
	if err := WriteDisk(io.Discard, huge, bytes.NewReader(nil)); err == nil || errors.Is(err, ErrImage) {
		t.Errorf("4 GiB: %v", err)
	}
}

// The type "full" is a writer that has room for a number of bytes, like a disk
// that gets full.
type full struct{ room int }

func (f *full) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return 0, io.ErrShortWrite
	}
	f.room -= len(p)
	return len(p), nil
}
