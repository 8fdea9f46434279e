package remote

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"hlplay/engine/localfile"
)

// Source is a file on the controller as it was when ReadSource looked at it. Its content is not kept in memory, and it is read only
// when it is sent or its sum is asked for. If the file has changed by then, that is an error.
type Source struct {
	Path string
	// Size is in bytes.
	Size int64

	version localfile.Version
	// sum is the SHA-256 sum if the version alone does not tell whether the file has changed, otherwise nil.
	sum *[sha256.Size]byte
}

// ReadSource returns a file on the controller as it is now. It reads the file only if a later change might not show otherwise,
// because it was changed in the last two seconds, for example: see localfile.Version.
func ReadSource(name string) (Source, error) {
	f, err := localfile.Open(name)
	if err != nil {
		return Source{Path: name}, err
	}
	defer f.Close()
	s := Source{Path: name}
	if s.version, err = localfile.VersionOf(f); err != nil {
		return s, err
	}
	s.Size = s.version.Size()
	if s.version.Settled() {
		return s, nil
	}
	sum := sha256.New()
	if s.Size, err = io.Copy(sum, f); err != nil {
		return s, err
	}
	s.sum = (*[sha256.Size]byte)(sum.Sum(nil))
	return s, nil
}

// Sum returns the SHA-256 sum. The file is read unless that was done before, by Sum or to send it.
func (s Source) Sum() ([sha256.Size]byte, error) {
	if s.sum != nil {
		return *s.sum, nil
	}
	known := sumOf(s.version)
	known.mu.Lock() // what others ask for meanwhile is read once
	defer known.mu.Unlock()
	if known.sum != nil {
		return *known.sum, nil
	}
	content, err := s.open()
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	defer content.Close()
	// io.Discard by itself would read 8 KiB at a time.
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, content, make([]byte, 64<<10)); err != nil {
		return [sha256.Size]byte{}, err
	}
	known.sum = content.whole
	return *known.sum, nil
}

// sums are the sums of the versions that were read, so that a file is read once for all the hosts that have it.
var sums sync.Map // localfile.Version to *knownSum

type knownSum struct {
	mu  sync.Mutex
	sum *[sha256.Size]byte // nil until it is known
}

func sumOf(v localfile.Version) *knownSum {
	known, _ := sums.LoadOrStore(v, &knownSum{})
	return known.(*knownSum)
}

// open opens the source for reading.
func (s Source) open() (*sealed, error) {
	f, err := localfile.Open(s.Path)
	if err != nil {
		return nil, err
	}
	return &sealed{source: s, file: f, sum: sha256.New(), left: s.Size}, nil
}

// sealed reads a source. It returns the last piece only if the whole file is unchanged: without that piece, the host
// considers the content cut off and replaces nothing.
type sealed struct {
	source Source
	file   *os.File
	sum    hash.Hash
	left   int64

	mu    sync.Mutex
	whole *[sha256.Size]byte // the sum, once the whole file was read
	err   error
}

func (r *sealed) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.left)])
	r.sum.Write(p[:n])
	r.left -= int64(n)
	changed := err == io.EOF
	if r.left == 0 && !changed {
		sum := [sha256.Size]byte(r.sum.Sum(nil))
		if changed = r.changed(sum); !changed {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.whole = &sum
			return n, err
		}
	}
	if changed {
		n, err = 0, fmt.Errorf("%s has changed since it was looked at; run again", r.source.Path)
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
	}
	return n, err
}

// changed reports whether what was read, which has this sum, may be something else than the source.
func (r *sealed) changed(sum [sha256.Size]byte) bool {
	if known := r.source.sum; known != nil {
		return sum != *known
	}
	now, err := localfile.VersionOf(r.file)
	return err != nil || now != r.source.version
}

// remember keeps the sum if the content was read to its end.
func (r *sealed) remember() {
	r.mu.Lock()
	whole := r.whole
	r.mu.Unlock()
	if whole == nil || r.source.sum != nil {
		return
	}
	known := sumOf(r.source.version)
	known.mu.Lock()
	defer known.mu.Unlock()
	known.sum = whole
}

// broken returns why the content could not be read to the end, or nil.
func (r *sealed) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *sealed) Close() error { return r.file.Close() }
