package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hlplay/engine/report"
)

// Writer is a report.Reporter that records a run. It must be told events without secrets: see report.Redact. What happens
// before Begin it does not record. Its methods may be called from many goroutines.
type Writer struct {
	// Redactor tells which files hold a secret: they are not copied. Nil knows of none.
	Redactor *report.Redactor

	mu     sync.Mutex
	id     string
	dir    *os.Root // of the run
	copies int
	file   *os.File // nil before Begin, and when the journal has ended
	err    error
	now    func() time.Time

	// unsynced has an element when something that matters is on its way to the disk.
	unsynced chan struct{}
	synced   sync.WaitGroup
}

// Begin records a run in a store from now on, and removes the oldest runs of it beyond those to keep (see Store). Where it fails
// the run is not recorded.
func (w *Writer) Begin(s Store, run Run, keep int) error {
	root, err := s.prepare()
	if err != nil {
		return err
	}
	defer root.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.now == nil {
		w.now = time.Now
	}
	for n := 1; ; n++ {
		w.id = newID(w.now(), n)
		if err = root.Mkdir(w.id, 0o700); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err == nil {
		w.dir, err = root.OpenRoot(w.id)
	}
	if err != nil {
		return err
	}
	w.file, err = w.dir.OpenFile(journalFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err == nil {
		_ = unix.Flock(int(w.file.Fd()), unix.LOCK_EX) // where there is no locking, nobody can tell that the run lives
		w.unsynced = make(chan struct{}, 1)
		w.synced.Add(1)
		go w.sync(w.file)
		err = w.write(Entry{Run: &run})
	}
	if err != nil {
		_ = root.RemoveAll(w.id)
		return err
	}
	_ = s.prune(root, keep) // what cannot be removed now, the next run tries to
	return nil
}

// ID is the run's; empty if it is not recorded.
func (w *Writer) ID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsynced == nil {
		return ""
	}
	return w.id
}

// Err is why the journal has ended before its run; nil if it has not.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Report implements report.Reporter.
func (w *Writer) Report(e report.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.file == nil {
		return
	}
	switch e := e.(type) {
	case report.PlayStarted:
		_ = w.write(Entry{Play: &e})
	case report.TaskStarted:
		_ = w.write(Entry{Task: &e})
	case report.Progress:
		if e.Task != "" && e.What != "" && !e.Awaits {
			_ = w.write(Entry{Step: &e})
		}
	case report.TaskResult:
		r := &Result{TaskResult: e}
		for _, d := range e.Diffs {
			r.Changes = append(r.Changes, Change{d.Subject, sum(d.Before), sum(d.After)})
		}
		_ = w.write(Entry{Result: r})
	case report.Note:
		_ = w.write(Entry{Note: e.Text})
	case report.Recap:
		_ = w.write(Entry{End: endOf(e)})
		_ = w.end()
	}
}

// sum is the SHA-256 of a text; empty for no text.
func sum[T string | []byte](text T) string {
	if len(text) == 0 {
		return ""
	}
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// write appends an entry. After the first error nothing more is written: what comes behind a gap would mislead.
func (w *Writer) write(e Entry) error {
	if w.file == nil {
		return w.err
	}
	e.Time = w.now().UTC().Truncate(time.Millisecond)
	var line bytes.Buffer
	encoder := json.NewEncoder(&line)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(e)
	if err == nil {
		_, err = w.file.Write(line.Bytes())
	}
	if err != nil {
		w.err = fmt.Errorf("writing the journal: %w", err)
		_ = w.end()
		return w.err
	}
	if e.Step != nil || e.Run != nil || e.Result != nil && e.Result.Status != report.OK && e.Result.Status != report.Skipped {
		select {
		case w.unsynced <- struct{}{}:
		default:
		}
	}
	return nil
}

// sync brings to the disk what matters, as fast as the disk is; the run does not wait for it.
func (w *Writer) sync(f *os.File) {
	defer w.synced.Done()
	for range w.unsynced {
		_ = f.Sync() // the last one tells
	}
}

// end closes the journal. The file is on the disk then.
func (w *Writer) end() error {
	if w.file == nil {
		return nil
	}
	f := w.file
	w.file = nil
	close(w.unsynced)
	w.synced.Wait()
	return errors.Join(f.Sync(), f.Close(), w.dir.Close())
}

// Close ends the journal. A run that has not come to its end is then one that was killed.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.end())
}
