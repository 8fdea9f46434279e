package journal

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// longestLine is the maximum size of an entry: a task may have many items with output.
const longestLine = 64 << 20

// Glance is the information in the first and last entries of a journal.
type Glance struct {
	ID    string
	Began time.Time
	Run   Run
	// End is nil for a run that was not completed.
	End   *End
	State State
}

// Record is the journal of a run in memory.
type Record struct {
	Glance
	Entries []Entry
}

// Read reads the journal of a run.
func (s Store) Read(id string) (*Record, error) {
	f, state, err := s.open(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := Decode(f)
	if err == nil && (len(entries) == 0 || entries[0].Run == nil) {
		err = errors.New("it does not begin as a journal does")
	}
	if err != nil {
		return nil, fmt.Errorf("the journal of run %s: %w", id, err)
	}
	r := &Record{Glance: Glance{ID: id, Began: entries[0].Time, Run: *entries[0].Run}, Entries: entries}
	r.ended(entries[len(entries)-1], state)
	return r, nil
}

// Glance reads only the first and last entries of the journal of a run.
func (s Store) Glance(id string) (Glance, error) {
	g := Glance{ID: id}
	f, state, err := s.open(id)
	if err != nil {
		return g, err
	}
	defer f.Close()
	line, err := bufio.NewReader(io.LimitReader(f, longestLine)).ReadBytes('\n')
	var first, last Entry
	if err == nil {
		err = json.Unmarshal(line, &first)
	}
	if err == nil && first.Run == nil {
		err = errors.New("it does not begin as a journal does")
	}
	if err != nil {
		return g, fmt.Errorf("the journal of run %s: %w", id, err)
	}
	g.Began, g.Run = first.Time, *first.Run
	if line, err = lastLine(f); err != nil {
		return g, fmt.Errorf("the journal of run %s: %w", id, err)
	}
	if json.Unmarshal(line, &last) != nil {
		last = Entry{}
	}
	g.ended(last, state)
	return g, nil
}

// ended sets the state of the run according to its last entry; state is Running for a run that is still alive.
func (g *Glance) ended(last Entry, state State) {
	g.End, g.State = last.End, state
	if last.End != nil {
		g.State = last.End.State
	}
}

// open opens the journal of a run and reports whether the run is still alive.
func (s Store) open(id string) (*os.File, State, error) {
	f, err := os.Open(filepath.Join(s.dir, runsDir, id, journalFile))
	if err != nil {
		return nil, "", fmt.Errorf("the journal of run %s: %w", id, err)
	}
	state := Killed
	if errors.Is(unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB), unix.EWOULDBLOCK) {
		state = Running
	}
	return f, state, nil
}

// Decode reads entries. It skips an incomplete line, which a killed program may leave as the last one, and any line
// that is not an entry: a power failure may leave zeros.
func Decode(r io.Reader) ([]Entry, error) {
	var all []Entry
	in := bufio.NewReader(r)
	for {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var e Entry
		if json.Unmarshal(line, &e) == nil && !e.Time.IsZero() {
			all = append(all, e)
		}
	}
}

// readLine reads a complete line. It returns io.EOF if there is none.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		case len(line) > longestLine:
			return nil, fmt.Errorf("a line is longer than %d bytes", longestLine)
		}
	}
}

// lastLine returns the last complete line of a file.
func lastLine(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	for size := int64(4 << 10); ; size *= 8 {
		from := max(0, info.Size()-size)
		tail := make([]byte, info.Size()-from)
		if _, err := f.ReadAt(tail, from); err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		end := bytes.LastIndexByte(tail, '\n')
		if end < 0 {
			end = 0
		}
		begin := bytes.LastIndexByte(tail[:end], '\n')
		if begin >= 0 || from == 0 || size > longestLine {
			return tail[begin+1 : end], nil
		}
	}
}
