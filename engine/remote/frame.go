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

// nonce is 128 random bits in hexadecimal, which no output contains by chance.
func nonce() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}

// piece is what one query printed on one stream.
type piece struct {
	id, exit int
	data     []byte
	// out is how many bytes of it were left out.
	out int64
}

// unframer cuts a stream into pieces. A piece ends with a mark, "\n<nonce> <id> <exit>\n": not a
// length before it, because nothing is then stored on the host and output streams as it is made. In a piece,
// "\n<nonce> gap <bytes>\n" stands where the host has left something out.
type unframer struct {
	mark []byte // "\n<nonce> "
	// rest is what may be the beginning of a mark.
	rest []byte
	kept keeper
	// most are how much is kept of the pieces to come, the next one first; zero is maxAnswer.
	most []int
}

func newUnframer(nonce string) *unframer {
	return &unframer{mark: []byte("\n" + nonce + " "), kept: keeper{limit: maxAnswer}}
}

// expect says how much is kept of the pieces that follow.
func (u *unframer) expect(most []int) {
	u.most = most
	u.begin()
}

// begin begins a piece.
func (u *unframer) begin() {
	u.kept = keeper{limit: maxAnswer}
	if len(u.most) > 0 {
		u.kept.limit = cmp.Or(u.most[0], maxAnswer)
		u.most = u.most[1:]
	}
}

// feed takes the next bytes of the stream and returns the pieces that end in them.
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

// parseMark reads "<id> <exit>".
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

// maxNoise bounds what a host may print before a shell answers: banners, and whatever a
// .bashrc says.
const maxNoise = 1 << 20

// skipper is a stream whose beginning, up to a line that begins with a mark, is noise.
type skipper struct {
	r    io.Reader
	mark []byte
	rest []byte
	// said is the line after the mark, once open.
	said string
	open bool
	err  error

	mu sync.Mutex
	// noise is what came before the mark, for error messages of others than the reader.
	noise []byte
}

// errNoMark says that the stream ended before the mark.
var errNoMark = errors.New("the shell ended before it answered")

func newSkipper(r io.Reader, nonce string) *skipper {
	return &skipper{r: r, mark: []byte("\n" + nonce + " ")}
}

// until reads up to the first of some texts, drops everything up to its end, and says which it was.
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

// drop makes noise of the next n bytes.
func (s *skipper) drop(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noise = append(s.noise, s.rest[:n]...)
	s.rest = s.rest[n:]
}

// dropped is what was noise so far.
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
	if _, err := s.until(s.mark); err != nil {
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
