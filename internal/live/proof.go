package live

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// A Proof records how a deploy has left an app's objects, so that a later one can tell from their
// metadata alone that there is nothing to do. It is stored in the app's record.
type Proof struct {
	// Input is a digest of everything that the deploy depended on: manifests, options, program.
	Input string
	// Kinds are those of the app's objects.
	Kinds []Kind
	// Namespaces are those of the app's objects, for identities that may not list more.
	Namespaces []string
	objects    map[digest]seen
}

// digest is the beginning of a SHA-256, enough to tell apart the objects of an app.
type digest [8]byte

func digestOf(parts ...string) digest {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return digest(sum[:8])
}

func (k Key) digest() digest { return digestOf(k.Group, k.Resource, k.Namespace, k.Name) }

type seen struct {
	version, state, wanted digest
	// settled means that an equal state shows that nobody has written to the object.
	settled bool
}

// Add records an object as it was read. read is a time of the server's clock before that, such as that
// of a write. wanted is a digest of what the manifests want the object to be.
func (p *Proof) Add(o Object, read time.Time, wanted string) {
	if p.objects == nil {
		p.objects = map[digest]seen{}
	}
	if !slices.Contains(p.Kinds, o.Kind) {
		p.Kinds = append(p.Kinds, o.Kind)
	}
	p.objects[o.Key().digest()] = seen{
		version: digestOf(string(o.UID), o.ResourceVersion), state: digestOf(State(&o.ObjectMeta)), wanted: digestOf(wanted),
		settled: settled(&o.ObjectMeta, read),
	}
}

// Len is the number of objects.
func (p *Proof) Len() int { return len(p.objects) }

// A Sameness says how an object is compared with how it was left.
type Sameness int

const (
	// Unknown objects were not recorded.
	Unknown Sameness = iota
	// Changed objects may have been changed.
	Changed
	// Touched objects are as they were left, apart from their status.
	Touched
	// Same objects are exactly as they were left.
	Same
)

// Compare compares an object with how it was left.
func (p *Proof) Compare(o Object) Sameness {
	was, ok := p.objects[o.Key().digest()]
	switch {
	case !ok:
		return Unknown
	case was.version == digestOf(string(o.UID), o.ResourceVersion):
		return Same
	case was.settled && was.state == digestOf(State(&o.ObjectMeta)):
		return Touched
	}
	return Changed
}

// Wanted tells whether the manifests wanted an object to be the same when it was left.
func (p *Proof) Wanted(key Key, wanted string) bool {
	was, ok := p.objects[key.digest()]
	return ok && was.wanted == digestOf(wanted)
}

// proofFormat is raised when the encoding or the meaning of a digest changes.
const proofFormat = 1

type encodedProof struct {
	Format     int      `json:"format"`
	Input      string   `json:"input"`
	Kinds      []Kind   `json:"kinds"`
	Namespaces []string `json:"namespaces,omitempty"`
	Objects    []byte   `json:"objects"`
}

const seenSize = 4*len(digest{}) + 1

// Encode returns the proof as text, about 45 bytes per object.
func (p *Proof) Encode() (string, error) {
	keys := make([]digest, 0, len(p.objects))
	for k := range p.objects {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b digest) int { return bytes.Compare(a[:], b[:]) })
	e := encodedProof{Format: proofFormat, Input: p.Input, Kinds: p.Kinds, Namespaces: p.Namespaces}
	for _, k := range keys {
		s := p.objects[k]
		e.Objects = slices.Concat(e.Objects, k[:], s.version[:], s.state[:], s.wanted[:])
		if s.settled {
			e.Objects = append(e.Objects, 1)
		} else {
			e.Objects = append(e.Objects, 0)
		}
	}
	var b bytes.Buffer
	text := base64.NewEncoder(base64.StdEncoding, &b)
	zip := gzip.NewWriter(text)
	err := errors.Join(json.NewEncoder(zip).Encode(e), zip.Close(), text.Close())
	return b.String(), err
}

// maxProof bounds what a record of an app can hold when it is unpacked, in bytes.
const maxProof = 16 << 20

// DecodeProof reads what [Proof.Encode] has written.
func DecodeProof(text string) (*Proof, error) {
	zip, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(text)))
	if err != nil {
		return nil, fmt.Errorf("record of the last deploy: %w", err)
	}
	var e encodedProof
	if err := json.NewDecoder(io.LimitReader(zip, maxProof)).Decode(&e); err != nil {
		return nil, fmt.Errorf("record of the last deploy: %w", err)
	}
	if e.Format != proofFormat || len(e.Objects)%seenSize != 0 {
		return nil, fmt.Errorf("record of the last deploy: expected format %d, found %d", proofFormat, e.Format)
	}
	p := &Proof{Input: e.Input, Kinds: e.Kinds, Namespaces: e.Namespaces, objects: make(map[digest]seen, len(e.Objects)/seenSize)}
	const n = len(digest{})
	for b := range slices.Chunk(e.Objects, seenSize) {
		p.objects[digest(b[:n])] = seen{
			version: digest(b[n : 2*n]), state: digest(b[2*n : 3*n]), wanted: digest(b[3*n : 4*n]), settled: b[4*n] == 1,
		}
	}
	return p, nil
}
