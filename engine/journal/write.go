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

// Writer is a report.Reporter that records a run. The events that it receives must not contain secrets: see
// report.Redact. Events before Begin are not recorded. Its methods are safe for concurrent use.
type Writer struct {
	// Redactor detects files that contain a secret, which are not copied. Nil detects none.
	Redactor *report.Redactor

	mu     sync.Mutex
	id     string
	dir    *os.Root // of the run
	copies int
	file   *os.File // nil before Begin, and after the journal has ended
	err    error
	now    func() time.Time

	// unsynced has an element while something important is waiting to be synced to disk.
	unsynced chan struct{}
	synced   sync.WaitGroup
}

// Begin starts recording a run in a store, and removes the store's oldest runs beyond the number to keep (see prune).
// If it fails, the run is not recorded.
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
		_ = unix.Flock(int(w.file.Fd()), unix.LOCK_EX) // without file locking, nobody can tell that the run is in progress
		w.unsynced = make(chan struct{}, 1)
		w.synced.Add(1)
		go w.sync(w.file)
		err = w.write(Entry{Run: &run})
	}
	if err != nil {
		_ = root.RemoveAll(w.id)
		return err
	}
	_ = s.prune(root, keep) // the next run will try again
	return nil
}

// ID returns the run's ID; empty if the run is not recorded.
func (w *Writer) ID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.unsynced == nil {
		return ""
	}
	return w.id
}

// Err returns the reason why the journal ended before its run, or nil.
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
	case report.Counted:
		_ = w.write(Entry{Counted: &e})
	case report.Note:
		_ = w.write(Entry{Note: e.Text})
	case report.Recap:
		_ = w.write(Entry{End: endOf(e)})
		_ = w.end()
	}
}

// sum returns the SHA-256 of a text in hexadecimal, or "" if the text is empty.
func sum[T string | []byte](text T) string {
	if len(text) == 0 {
		return ""
	}
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

// write appends an entry. After the first error nothing more is written, because entries after a gap would be
// misleading.
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
	if e.Step != nil || e.Counted != nil || e.Run != nil || e.Result != nil && e.Result.Status != report.OK && e.Result.Status != report.Skipped {
		select {
		case w.unsynced <- struct{}{}:
		default:
		}
	}
	return nil
}

// sync syncs important entries to disk, as fast as the disk allows. The run does not wait for it.
func (w *Writer) sync(f *os.File) {
	defer w.synced.Done()
	for range w.unsynced {
		_ = f.Sync() // the final Sync in end reports an error
	}
}

// end closes the journal after syncing it to disk.
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

// Close ends the journal. A run that has not ended then counts as killed.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.err, w.end())
}
