package remote

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
)

// nonce returns 128 random bits in hexadecimal, which no output contains by chance.
func nonce() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}

// piece is the output of one query on one stream.
type piece struct {
	id, exit int
	data     []byte
	// out is the number of bytes omitted.
	out int64
}

// unframer splits a stream into pieces. A piece ends with a mark, "\n<nonce> <id> <exit>\n", rather than starting with
// a length, so that output is streamed as it is produced and the host stores nothing. Within a piece, "\n<nonce> gap
// <bytes>\n" stands for output that the host has omitted.
type unframer struct {
	mark []byte // "\n<nonce> "
	// rest may be the beginning of a mark.
	rest []byte
	kept keeper
	// most says how many bytes to keep of the following pieces; zero means maxAnswer.
	most []int
}

func newUnframer(nonce string) *unframer {
	return &unframer{mark: []byte("\n" + nonce + " "), kept: keeper{limit: maxAnswer}}
}

// expect sets how many bytes to keep of the following pieces.
func (u *unframer) expect(most []int) {
	u.most = most
	u.begin()
}

// begin starts a piece.
func (u *unframer) begin() {
	u.kept = keeper{limit: maxAnswer}
	if len(u.most) > 0 {
		u.kept.limit = cmp.Or(u.most[0], maxAnswer)
		u.most = u.most[1:]
	}
}

// feed consumes bytes of the stream and returns the pieces that they complete.
func (u *unframer) feed(p []byte) ([]piece, error) {
	u.rest = append(u.rest, p...)
	rest := u.rest
	defer func() { u.rest = append(u.rest[:0], rest...) }()
	var pieces []piece
	for {
		i := bytes.Index(rest, u.mark)
		if i < 0 {
			if sure := len(rest) - len(u.mark) + 1; sure > 0 {
				_, _ = u.kept.Write(rest[:sure])
				rest = rest[sure:]
			}
			return pieces, nil
		}
		_, _ = u.kept.Write(rest[:i])
		rest = rest[i:]
		tail := rest[len(u.mark):]
		end := bytes.IndexByte(tail, '\n')
		if end < 0 {
			if len(tail) > 64 {
				return pieces, errors.New("an end mark does not end")
			}
			return pieces, nil
		}
		if left, ok := bytes.CutPrefix(tail[:end], []byte("gap ")); ok {
			size, err := strconv.ParseInt(string(left), 10, 64)
			if err != nil || size < 0 {
				return pieces, fmt.Errorf("gap of %q bytes: want a number", left)
			}
			u.kept.skip(size)
			rest = tail[end+1:]
			continue
		}
		id, exit, err := parseMark(tail[:end])
		if err != nil {
			return pieces, err
		}
		pieces = append(pieces, piece{id, exit, u.kept.bytes(), u.kept.out})
		u.begin()
		rest = tail[end+1:]
	}
}

// parseMark parses "<id> <exit>".
func parseMark(b []byte) (id, exit int, err error) {
	first, second, ok := bytes.Cut(b, []byte(" "))
	if ok {
		if id, err = strconv.Atoi(string(first)); err == nil {
			exit, err = strconv.Atoi(string(second))
		}
	}
	if !ok || err != nil || id < 0 || exit < 0 {
		return 0, 0, fmt.Errorf("end mark %q: want two numbers", b)
	}
	return id, exit, nil
}

// maxNoise limits what a host may print before a shell answers, such as banners and the output of a .bashrc.
const maxNoise = 1 << 20

// skipper reads a stream, skipping the noise before a line that starts with a mark.
type skipper struct {
	r    io.Reader
	mark []byte
	rest []byte
	// said is the rest of the mark's line, once it was read.
	said string
	open bool
	err  error
	// instead, if not empty, is a text that may come before the mark. noted is called when it does.
	instead []byte
	noted   func()

	mu sync.Mutex
	// noise is the text before the mark, for error messages. Goroutines other than the reader use it too.
	noise []byte
}

// errNoMark reports that the stream ended before the mark.
var errNoMark = errors.New("the shell ended before it answered")

func newSkipper(r io.Reader, nonce string) *skipper {
	return &skipper{r: r, mark: []byte("\n" + nonce + " ")}
}

// until reads up to and including the first of several texts, drops everything read, and returns the index of the text
// that was found.
func (s *skipper) until(texts ...[]byte) (int, error) {
	pooled := chunks.Get().(*[]byte)
	defer chunks.Put(pooled)
	chunk := *pooled
	for {
		found, at := -1, 0
		for i, text := range texts {
			if j := bytes.Index(s.rest, text); j >= 0 && (found < 0 || j < at) {
				found, at = i, j
			}
		}
		if found >= 0 {
			s.drop(at)
			s.rest = s.rest[len(texts[found]):]
			return found, nil
		}
		if s.err != nil {
			s.drop(len(s.rest))
			if s.err == io.EOF {
				return -1, errNoMark
			}
			return -1, s.err
		}
		if len(s.rest) > maxNoise {
			return -1, fmt.Errorf("the host printed more than %d KiB before the shell answered", maxNoise>>10)
		}
		var n int
		n, s.err = s.r.Read(chunk)
		s.rest = append(s.rest, chunk[:n]...)
	}
}

// drop moves the next n bytes to the noise.
func (s *skipper) drop(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noise = append(s.noise, s.rest[:n]...)
	s.rest = s.rest[n:]
}

// dropped returns the noise so far.
func (s *skipper) dropped() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.noise)
}

// skip drops the noise.
func (s *skipper) skip() error {
	if s.open {
		return nil
	}
	texts := [][]byte{s.mark}
	if len(s.instead) > 0 {
		texts = append(texts, s.instead)
	}
	found, err := s.until(texts...)
	if err == nil && found == 1 {
		s.noted()
		_, err = s.until(s.mark)
	}
	if err != nil {
		return err
	}
	before := len(s.dropped())
	if _, err := s.until([]byte("\n")); err != nil {
		return err
	}
	s.said = string(s.dropped()[before:])
	s.open = true
	return nil
}

func (s *skipper) Read(p []byte) (int, error) {
	if err := s.skip(); err != nil {
		return 0, err
	}
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.r.Read(p)
}
