package journal

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/report"
	"hlplay/modules"
)

// plan has two plays on hosts a and b: tasks 1, 2 with its rescue, and 3; and task 4.
var plan = []Play{
	{Name: "p", Hosts: []string{"a", "b"}, Tasks: []Task{
		{Name: "1", File: "f", Line: 1}, {Name: "2", File: "f", Line: 2}, {Name: "2r", File: "f", Line: 3, Rescues: "2"}, {Name: "3", File: "f", Line: 4},
	}},
	{Name: "q", Hosts: []string{"a", "b"}, Tasks: []Task{{Name: "4", File: "f", Line: 5}}},
}

// events expands a shorthand for the events of a run: "p" begins a play, "p 1/2" a batch of it, "p.1" a task, "p.1 a
// failed" is a result, "p.+h" a handler, and a State ends the run.
func events(short ...string) []report.Event {
	var all []report.Event
	for _, s := range short {
		fields := strings.Fields(s)
		play, task, isTask := strings.Cut(fields[0], ".")
		task, handler := strings.CutPrefix(task, "+")
		switch {
		case slices.Contains([]string{"ok", "failed", "unreachable", "interrupted"}, s):
			counts := map[string]report.Counts{"a": {OK: 1}}
			switch s {
			case "failed":
				counts["b"] = report.Counts{Failed: 1}
			case "unreachable":
				counts["b"] = report.Counts{Unreachable: 1}
			}
			all = append(all, report.Recap{Hosts: counts, Interrupted: s == "interrupted"})
		case !isTask && len(fields) == 2:
			all = append(all, report.PlayStarted{Play: play, Batch: int(fields[1][0] - '0'), Batches: int(fields[1][2] - '0')})
		case !isTask:
			all = append(all, report.PlayStarted{Play: play, Batch: 1, Batches: 1})
		case len(fields) == 1:
			all = append(all, report.TaskStarted{Play: play, Task: task, Handler: handler})
		default:
			r := report.TaskResult{Play: play, Task: task, Handler: handler, Host: fields[1], Status: report.Status(fields[2])}
			r.Ignored, r.Rescued = slices.Contains(fields, "ignored"), slices.Contains(fields, "rescued")
			all = append(all, r)
		}
	}
	return all
}

// recorded records a run with the plan and these events, and reads it back.
func recorded(t *testing.T, short ...string) *Record {
	t.Helper()
	store := At(filepath.Join(t.TempDir(), "j"))
	w := &Writer{}
	if err := w.Begin(store, Run{Plan: plan}, KeptRuns); err != nil {
		t.Fatal(err)
	}
	for _, e := range events(short...) {
		w.Report(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := store.Read(w.ID())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestUnfinished(t *testing.T) {
	for name, test := range map[string]struct {
		events []string
		want   string
		state  State
	}{
		"done":                     {[]string{"p", "p.1", "p.1 a ok", "p.1 b ok", "ok"}, "", OK},
		"killed at once":           {nil, "1", Killed},
		"killed in a play":         {[]string{"p"}, "1", Killed},
		"killed in a task":         {[]string{"p", "p.1", "p.1 a ok", "p.1 b ok", "p.2", "p.2 a ok"}, "2", Killed},
		"killed behind a failure":  {[]string{"p", "p.1", "p.1 a ok", "p.1 b failed", "p.2", "p.2 a ok", "p.3"}, "1", Killed},
		"killed in the next play":  {[]string{"p", "p.1", "p.1 a ok", "q"}, "4", Killed},
		"failed":                   {[]string{"p", "p.1", "p.2", "p.2 b failed", "p.3", "p.3 a ok", "q", "q.4", "failed"}, "2", Failed},
		"the first of failures":    {[]string{"p", "p.1", "p.2", "p.2 b failed", "p.3", "p.3 a failed", "failed"}, "2", Failed},
		"ignored":                  {[]string{"p", "p.1", "p.1 b failed ignored", "p.2", "p.3", "p.3 a failed", "failed"}, "3", Failed},
		"rescued":                  {[]string{"p", "p.2", "p.2 b failed rescued", "p.2r", "p.2r b ok", "p.3", "p.3 a failed", "failed"}, "3", Failed},
		"failed in the rescue":     {[]string{"p", "p.2", "p.2 b failed rescued", "p.2r", "p.2r b failed", "failed"}, "2", Failed},
		"not reached":              {[]string{"p", "p.1", "p.1 b unreachable", "p.2", "unreachable"}, "1", Unreachable},
		"interrupted":              {[]string{"p", "p.1", "p.1 a ok", "p.2", "p.2 a failed", "interrupted"}, "2", Interrupted},
		"interrupted between two":  {[]string{"p", "p.1", "p.1 a ok", "p.2", "p.2 a ok", "interrupted"}, "2", Interrupted},
		"a handler failed":         {[]string{"p", "p.1", "p.3", "p.+h", "p.+h a failed", "failed"}, "3", Failed},
		"killed in a handler":      {[]string{"p", "p.1", "p.2", "p.3", "p.+h"}, "3", Killed},
		"batches were not begun":   {[]string{"p 1/2", "p.1", "p.2", "p.2 a failed", "failed"}, "1", Failed},
		"failed in the last batch": {[]string{"p 1/2", "p.1", "p.2", "p.3", "p 2/2", "p.1", "p.2", "p.2 b failed", "failed"}, "2", Failed},
	} {
		t.Run(name, func(t *testing.T) {
			r := recorded(t, test.events...)
			if r.State != test.state {
				t.Errorf("state %s, want %s", r.State, test.state)
			}
			if at, ok := r.Unfinished(); at.Name != test.want || ok != (test.want != "") {
				t.Errorf("goes on at %q, %t; want %q", at.Name, ok, test.want)
			}
		})
	}
}

func TestHosts(t *testing.T) {
	hosts := recorded(t, "p", "p.1", "p.1 a ok", "p.1 b failed", "p.2", "p.2 a changed", "p.3").Hosts()
	var got []string
	for _, h := range hosts {
		var ahead []string
		for _, p := range h.Ahead {
			ahead = append(ahead, p.Name)
		}
		got = append(got, h.Name+" "+strings.Join(ahead, ","))
	}
	// Task 3 was started: one host may have done it for all.
	if diff := cmp.Diff([]string{"a 4", "b 2,3,4"}, got); diff != "" {
		t.Errorf("hosts and what they did not come to (-want +got):\n%s", diff)
	}
	if c := hosts[0].Counts; c.OK != 1 || c.Changed != 1 || hosts[1].Counts.Failed != 1 {
		t.Errorf("counts %+v, %+v", c, hosts[1].Counts)
	}
}

// TestTorn cuts a journal at every byte and checks that the entries before the cut are read.
func TestTorn(t *testing.T) {
	store := At(filepath.Join(t.TempDir(), "j"))
	w := &Writer{}
	if err := w.Begin(store, Run{Plan: plan}, KeptRuns); err != nil {
		t.Fatal(err)
	}
	for _, e := range events("p", "p.1", "p.1 a changed", "ok") {
		w.Report(e)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(store.String(), runsDir, w.ID(), journalFile)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head := bytes.IndexByte(whole, '\n') + 1
	for cut := len(whole); cut >= 0; cut-- {
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := store.Read(w.ID())
		g, glanceErr := store.Glance(w.ID())
		if cut < head {
			if err == nil || glanceErr == nil {
				t.Fatalf("a journal without its first line was read: %v, %v", err, glanceErr)
			}
			continue
		}
		if err != nil || glanceErr != nil {
			t.Fatalf("cut at byte %d: %v, %v", cut, err, glanceErr)
		}
		if want := bytes.Count(whole[:cut], []byte("\n")); len(r.Entries) != want {
			t.Errorf("cut at byte %d: %d entries, want %d", cut, len(r.Entries), want)
		}
		want := Killed
		if cut == len(whole) {
			want = OK
		}
		if r.State != want || g.State != want {
			t.Errorf("cut at byte %d: state %s, at a glance %s, want %s", cut, r.State, g.State, want)
		}
	}
}

// FuzzDecode appends arbitrary bytes to complete entries, which must be read nevertheless.
func FuzzDecode(f *testing.F) {
	const whole = `{"time":"2026-11-28T09:00:00Z","run":{"plan":[{"name":"p","hosts":["a"],"tasks":[{"name":"1"}]}]}}` + "\n" +
		`{"time":"2026-11-28T09:00:01Z","result":{"play":"p","task":"1","host":"a","status":"failed"}}` + "\n"
	f.Add([]byte(`{"time":"2026-11-28T09:00:02Z","end":{"state":"ok","hosts":{}}}` + "\n"))
	f.Add([]byte(`{"time":"2026-11-28T09:00:02Z","task":{"play":"p","ta`))
	f.Add([]byte("\x00\x00\x00\n{}\nnull\n[]\n\"\"\n{\"time\":1}\n"))
	f.Add([]byte(`{"time":"2026-11-28T09:00:02Z","result":{"play":"x","status":"failed","host":"z"},"step":{"host":"a"}}` + "\n"))
	f.Add([]byte(`{"time":"2026-11-28T09:00:02Z","result":{"play":"p","task":"1","host":"a","status":"ok","registered":{"value":{"a":1},"type":["object",{"a":"number"}]}}}` + "\n"))
	f.Add([]byte(`{"time":"2026-11-28T09:00:02Z","copy":{"host":"a","path":"/f"}}` + "\n" + `{"time":"2026-11-28T09:00:02Z","left":{"host":"a","path":"/f","sha256":"0"}}` + "\n"))
	f.Fuzz(func(t *testing.T, tail []byte) {
		entries, err := Decode(bytes.NewReader(append([]byte(whole), tail...)))
		if err != nil || len(entries) < 2 || entries[0].Run == nil || entries[1].Result == nil {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		r := &Record{Glance: Glance{Run: *entries[0].Run}, Entries: entries}
		r.ended(entries[len(entries)-1], Killed)
		r.Unfinished()
		r.Hosts()
		r.Copies()
		newResults().add(r)
	})
}

func TestSecretsOfDiffs(t *testing.T) {
	store := At(filepath.Join(t.TempDir(), "j"))
	w, r := &Writer{}, report.NewRedactor()
	r.Add("hunter2hunter2")
	if err := w.Begin(store, Run{Plan: plan}, KeptRuns); err != nil {
		t.Fatal(err)
	}
	out := report.Redact(w, r)
	for _, after := range []string{"a = hunter2hunter2\n", "a = " + report.Redacted + "\n"} {
		out.Report(report.TaskResult{Status: report.Changed, Diffs: []modules.Diff{{Subject: "/f", After: after}}})
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	record, err := store.Read(w.ID())
	if err != nil {
		t.Fatal(err)
	}
	// The checksum of a text with a secret would confirm a correct guess of the secret.
	if a, b := record.Entries[1].Result.Changes[0], record.Entries[2].Result.Changes[0]; a != b || a.After == "" {
		t.Errorf("%+v, %+v", a, b)
	}
}

func TestStoreIsTheUsersAlone(t *testing.T) {
	for name, test := range map[string]struct {
		make func(dir string) error
		want string
	}{
		"written to by others": {func(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o777)) }, "can be written to by others"},
		"a file":               {func(dir string) error { return os.WriteFile(dir, nil, 0o600) }, "is no directory"},
		"a link": {func(dir string) error {
			return errors.Join(os.Mkdir(dir+".x", 0o700), os.Symlink(dir+".x", dir))
		}, "is no directory"},
		"runs is a link": {func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink("/", filepath.Join(dir, runsDir)))
		}, "is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "j")
			if err := test.make(dir); err != nil {
				t.Fatal(err)
			}
			w := &Writer{}
			if err := w.Begin(At(dir), Run{}, KeptRuns); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if w.ID() != "" {
				t.Errorf("run %s is recorded", w.ID())
			}
			w.Report(report.Note{Text: "goes on"})
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "j")
	w := &Writer{}
	if err := w.Begin(At(dir), Run{}, KeptRuns); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestKept records more runs than are kept and checks that runs that did nothing do not displace runs that did
// something.
func TestKept(t *testing.T) {
	store := At(filepath.Join(t.TempDir(), "j"))
	now := time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)
	begin := func(end string) *Writer {
		w := &Writer{now: func() time.Time { return now }}
		if err := w.Begin(store, Run{Plan: plan}, 2); err != nil {
			t.Fatal(err)
		}
		for _, e := range events(end) {
			w.Report(e)
		}
		now = now.Add(500 * time.Millisecond) // two per second
		return w
	}
	lives := begin("p")
	defer lives.Close()
	for _, end := range []string{"failed", "ok", "ok", "failed", "failed", "ok", "ok", "ok"} {
		begin(end)
	}
	got, err := store.IDs()
	if err != nil {
		t.Fatal(err)
	}
	// While the last run is running, it counts as neither.
	want := []string{"20261128-090004", "20261128-090003-02", "20261128-090003", "20261128-090002-02", "20261128-090002", "20261128-090000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	for word, want := range map[string]string{"last": "20261128-090004", "20261128-090003": "20261128-090003", "20261128-090000": "20261128-090000"} {
		if id, err := store.Find(word); id != want {
			t.Errorf("%s is %s, %v; want %s", word, id, err, want)
		}
	}
}

// The output of an inventory program is a source, so that a plan is refused if it has changed.
func TestAnswersAreSources(t *testing.T) {
	sources := func(answer string) []Source {
		return Sources(&lang.Playbook{}, &inventory.Inventory{Answers: map[string][]byte{"./hosts --list": []byte(answer)}})
	}
	if diff := cmp.Diff([]string{"./hosts --list has changed"}, Differences(sources("{}"), sources(`{"web": []}`))); diff != "" {
		t.Errorf("the differences differ (-want +got):\n%s", diff)
	}
	if same := Differences(sources("{}"), sources("{}")); len(same) > 0 {
		t.Errorf("an answer differs from itself: %v", same)
	}
}
