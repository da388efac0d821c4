package recovery

import "io"

const (
	sectorSize      = 512
	reservedSectors = 32
	rootCluster     = 2
	folderCluster   = 3
	fileCluster     = 4     // the first cluster of the first file; the second file follows it
	minClusters     = 65525 // a file system with fewer clusters would be FAT16 (Microsoft's FAT specification)
	endOfChain      = 0x0FFFFFFF
	dosEpoch        = 0x0021 // 1 January 1980
	mebibyte        = 1 << 20
)

// A volume is the plan of a file system. Everything gets its place before the
// first byte is written, so the file system can be written from the beginning
// to the end.
type volume struct {
	sectorsPerCluster int64
	clusters          int64 // the number of clusters, at least as many as FAT32 must have
	files             [2]volumeFile
}

type volumeFile struct {
	long    string
	short   [11]byte
	size    int64
	cluster int64 // the number of its first cluster
	count   int64
}

func newVolume(list *Chunklist) *volume {
	v := &volume{sectorsPerCluster: 8}
	if list.Size() < minClusters*8*sectorSize {
		v.sectorsPerCluster = 1
	}
	v.files[0] = volumeFile{long: ImageName, short: [11]byte([]byte("BASESY~1DMG")), size: list.Size()}
	v.files[1] = volumeFile{long: ChunklistName, short: [11]byte([]byte("BASESY~1CHU")), size: int64(len(list.data))}
	next := int64(fileCluster)
	for i := range v.files {
		f := &v.files[i]
		f.cluster, f.count = next, (f.size+v.clusterSize()-1)/v.clusterSize()
		next += f.count
	}
	v.clusters = max(next-rootCluster, minClusters)
	return v
}

func (v *volume) clusterSize() int64 { return v.sectorsPerCluster * sectorSize }

func (v *volume) fatSectors() int64 {
	return ((v.clusters+rootCluster)*4 + sectorSize - 1) / sectorSize
}

func (v *volume) sectors() int64 {
	return reservedSectors + 2*v.fatSectors() + v.clusters*v.sectorsPerCluster
}

func (v *volume) size() int64 { return v.sectors() * sectorSize }

func (v *volume) padding() int64 { return -v.size() & (mebibyte - 1) }

func (v *volume) slack(size int64) int64 {
	return (v.clusterSize() - size%v.clusterSize()) % v.clusterSize()
}

func (v *volume) free() int64 {
	last := v.files[len(v.files)-1]
	return v.clusters + rootCluster - last.cluster - last.count
}

// writeHead writes everything that comes before the first file.
func (v *volume) writeHead(w io.Writer) error {
	reserved := make([]byte, reservedSectors*sectorSize)
	for _, at := range []int{0, 6 * sectorSize} { // the sectors and their backups
		copy(reserved[at:], v.bootSector())
		copy(reserved[at+sectorSize:], v.infoSector())
	}
	fat := v.fat()
	for _, part := range [][]byte{reserved, fat, fat, v.rootFolder(), v.folder()} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}
