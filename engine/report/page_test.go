package report

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// written returns the page for events that are a second apart.
func written(t *testing.T, events []Event) string {
	t.Helper()
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	var text strings.Builder
	page := NewPage(&text, func() time.Time {
		now = now.Add(time.Second)
		return now
	})
	for _, e := range events {
		page.Report(e)
	}
	if err := page.Close(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestPage(t *testing.T) {
	text := written(t, sample(false))
	for _, want := range []string{
		`<p class="verdict failed"><span>Not done after 1m23s: `,
		"<td>knöt-三", // a row of the hosts
		`<b class="failed">pve2: <a href="#task-4">OSDs on blank disks</a></b> <span class="faint">playbooks/cluster.hcl:31, play form the cluster</span>`,
		"hint: choose another disk, or wipe this one by hand: wipefs -a /dev/sdb",
		`<span class="changed">changed <span>pve1 knöt-三</span></span> · <span class="ok">ok <span>pve2</span></span>`,
		`<span class="removed">-vm.swappiness = 60` + "\n</span>",
		`<span class="added">&#43;vm.swappiness = 10` + "\n</span>",
		`<span class="failed">!</span> <span class="name">try the new link</span>`, // rescued
		`<span class="name">handler: restart chrony</span>`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	if n := strings.Count(text, "fs.aio-max-nr is also set in"); n != 1 {
		t.Errorf("a note is there %d times", n)
	}
	for _, not := range []string{"\x1b", "<script", "an error", "pve1: an optional thing"} {
		if strings.Contains(text, not) {
			t.Errorf("the page has %q", not)
		}
	}
	if broken := regexp.MustCompile(`href="#(task-\d+)"`).FindAllStringSubmatch(text, -1); len(broken) == 0 {
		t.Error("nothing is linked")
	} else {
		for _, link := range broken {
			if !strings.Contains(text, `id="`+link[1]+`"`) {
				t.Errorf("there is no %s", link[1])
			}
		}
	}
}

func TestPageOfAnInterruptedRun(t *testing.T) {
	events := sample(false)
	text := written(t, events[:len(events)-1])
	if !strings.Contains(text, "The run did not come to its end.") || !strings.Contains(text, "pve2: <a") {
		t.Errorf("without a recap, the page is\n%s", text)
	}
	if text := written(t, events[:1]); !strings.Contains(text, "The run did not come to its end.") {
		t.Errorf("without a task, the page is\n%s", text)
	}
}

// The batches of a play are one play on the page. Two plays with the same name are two.
func TestPlaysOfThePage(t *testing.T) {
	p := NewPage(io.Discard, time.Now).(*page)
	p.Report(RunStarted{Hosts: []string{"a", "b"}})
	for _, begun := range []struct {
		play  string
		batch int
	}{{"web", 1}, {"web", 2}, {"idle", 1}, {"web", 1}, {"", 1}, {"", 1}} {
		p.Report(PlayStarted{Play: begun.play, Batch: begun.batch})
		if begun.play != "idle" {
			p.Report(TaskStarted{Play: begun.play, Task: "restart"})
			p.Report(TaskResult{Play: begun.play, Task: "restart", Host: "a", Status: OK, File: "x.hcl", Line: 3})
		}
	}
	var plays []string
	for _, play := range p.plays {
		plays = append(plays, fmt.Sprintf("%s %d", play.Name, len(play.Tasks[0].Results)))
	}
	if diff := cmp.Diff([]string{"web 2", "web 1", " 1", " 1"}, plays); diff != "" {
		t.Errorf("plays and their results (-want +got):\n%s", diff)
	}
}

func TestCriticalPath(t *testing.T) {
	var results []pageResult
	for i, r := range []struct {
		host     string
		from, to int // milliseconds
	}{
		{"a", 0, 1000}, {"b", 0, 4000}, // the second task waits for b
		{"a", 4000, 4000}, {"b", 4000, 4000}, // nothing to do
		{"b", 4000, 5000}, {"a", 4001, 7000},
		{"a", 7000, 9000}, {"b", 8000, 9000}, // both end the run; a began earlier
	} {
		results = append(results, pageResult{
			TaskResult: TaskResult{Host: r.host}, From: time.Duration(r.from) * time.Millisecond, To: time.Duration(r.to) * time.Millisecond,
			Of: &pageTask{ID: i},
		})
	}
	var path []int
	for _, r := range criticalPath(results) {
		path = append(path, r.Of.ID)
	}
	if diff := cmp.Diff([]int{1, 5, 6}, path); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTicks(t *testing.T) {
	for _, test := range []struct {
		total time.Duration
		want  []time.Duration
	}{
		{1, nil},
		{5 * time.Second, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}},
		{3 * time.Minute, []time.Duration{30 * time.Second, time.Minute, 90 * time.Second, 2 * time.Minute, 150 * time.Second}},
		{9 * time.Hour, []time.Duration{2 * time.Hour, 4 * time.Hour, 6 * time.Hour}},
	} {
		if diff := cmp.Diff(test.want, ticks(test.total)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.total, diff)
		}
	}
}
