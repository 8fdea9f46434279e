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

// Source is a file on the controller as it was when ReadSource read it. Its content is not kept in memory.
type Source struct {
	Path string
	// Size is in bytes.
	Size int64
	// Sum is the SHA-256 sum.
	Sum [sha256.Size]byte
}

// ReadSource returns the size and sum of a file on the controller.
func ReadSource(name string) (Source, error) {
	s := Source{Path: name}
	f, err := localfile.Open(name)
	if err != nil {
		return s, err
	}
	defer f.Close()
	sum := sha256.New()
	if s.Size, err = io.Copy(sum, f); err != nil {
		return s, err
	}
	sum.Sum(s.Sum[:0])
	return s, nil
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

	mu  sync.Mutex
	err error
}

func (r *sealed) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.file.Read(p[:min(int64(len(p)), r.left)])
	r.sum.Write(p[:n])
	r.left -= int64(n)
	switch {
	case err == io.EOF, r.left == 0 && [sha256.Size]byte(r.sum.Sum(nil)) != r.source.Sum:
		n, err = 0, fmt.Errorf("%s has changed since it was looked at; run again", r.source.Path)
	}
	if err != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.err = err
	}
	return n, err
}

// broken returns why the content could not be read to the end, or nil.
func (r *sealed) broken() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *sealed) Close() error { return r.file.Close() }
