package filesum

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/atomicwriter"
)

// The file is the header, the CRC-32C of what follows, and the folders, sorted by path: path, number
// of files, files. A file is its name, 0 or 1 for executable, five numbers and the digest. Texts and
// counts are preceded by, or are, unsigned varints; numbers are little-endian, of 8 bytes.
const header = "strake filesum 1\n"

const (
	checkSize  = crc32.Size
	stampSize  = 1 + 5*8
	recordSize = 2 + stampSize + sha256.Size // at least
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFormat = errors.New("not a file of digests, or a damaged one")

func encode(folders map[string][]record) []byte {
	size := len(header) + checkSize
	for dir, records := range folders {
		size += len(dir) + 2*binary.MaxVarintLen32 + len(records)*(recordSize+32)
	}
	b := make([]byte, len(header)+checkSize, size)
	copy(b, header)
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		if len(folders[dir]) == 0 {
			continue
		}
		b = appendText(b, dir)
		b = binary.AppendUvarint(b, uint64(len(folders[dir])))
		for _, r := range folders[dir] {
			b = appendText(b, r.name)
			exec := byte(0)
			if r.exec {
				exec = 1
			}
			b = append(b, exec)
			for _, n := range []uint64{uint64(r.size), uint64(r.mtime), uint64(r.ctime), r.dev, r.ino} {
				b = binary.LittleEndian.AppendUint64(b, n)
			}
			b = append(b, r.sum[:]...)
		}
	}
	return seal(b)
}

// seal fills in the sum over what follows it.
func seal(b []byte) []byte {
	binary.LittleEndian.PutUint32(b[len(header):], crc32.Checksum(b[len(header)+checkSize:], castagnoli))
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func decode(data []byte) (map[string][]record, error) {
	body, ok := bytes.CutPrefix(data, []byte(header))
	if !ok || len(body) < checkSize || binary.LittleEndian.Uint32(body) != crc32.Checksum(body[checkSize:], castagnoli) {
		return nil, errFormat
	}
	// All names are parts of one string.
	d := &decoder{b: body[checkSize:], s: string(body[checkSize:])}
	folders := map[string][]record{}
	for d.i < len(d.b) {
		dir, n := d.text(), d.uvarint()
		if n > uint64(len(d.b)-d.i)/recordSize {
			return nil, errFormat
		}
		records := make([]record, n)
		for i := range records {
			d.record(&records[i])
			if d.bad || i > 0 && records[i-1].name >= records[i].name {
				return nil, errFormat
			}
		}
		if d.bad {
			return nil, errFormat
		}
		folders[dir] = records
	}
	return folders, nil
}

type decoder struct {
	b   []byte
	s   string
	i   int
	bad bool
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b[d.i:])
	if n <= 0 {
		d.bad, d.i = true, len(d.b)
		return 0
	}
	d.i += n
	return v
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.b)-d.i) {
		d.bad, d.i = true, len(d.b)
		return ""
	}
	from := d.i
	d.i += int(n)
	return d.s[from:d.i]
}

func (d *decoder) record(r *record) {
	r.name = d.text()
	if len(d.b)-d.i < stampSize+sha256.Size {
		d.bad = true
		return
	}
	b := d.b[d.i:]
	r.exec = b[0] == 1
	number := func(i int) uint64 { return binary.LittleEndian.Uint64(b[1+8*i:]) }
	r.size, r.mtime, r.ctime, r.dev, r.ino = int64(number(0)), int64(number(1)), int64(number(2)), number(3), number(4)
	copy(r.sum[:], b[stampSize:])
	d.i += stampSize + sha256.Size
}

func (s *store) write() error {
	if err := os.MkdirAll(filepath.Dir(s.file), 0o700); err != nil {
		return err
	}
	return atomicwriter.WriteFile(s.file, encode(s.folders), 0o600)
}
