package test_restore

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
)

// report is the file that the script writes at the end of a test, and the host's time when it was read. Before the first
// test, only the time is set.
type report struct {
	Outcome, Reason, Volume     string
	Started, Ended, LastSuccess int64 // seconds since 1970, zero for never
	Now                         int64
	// Unreported is set if the service has failed since then without writing a report.
	Unreported bool
}

// reports observes the reports of test restores. Its names are those of the files, such as vm-100.
var reports = &observe.Kind[report]{
	Name: "test-restore", What: "the report of the test restore of %s",
	Ask: func(names []string) []remote.Query {
		queries := make([]remote.Query, len(names))
		for i, name := range names {
			queries[i] = remote.Query{
				Script: `date +now=%s
systemctl show --property=Result -- "test-restore-$1.service"
if [ -e "/var/lib/test-restore/$1" ]; then cat "/var/lib/test-restore/$1"; fi`,
				Args: []string{name},
			}
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, report, error)) {
		for i, name := range names {
			r, err := parseReport(string(answers[i].Stdout))
			if a := answers[i]; a.Exit != 0 {
				err = fmt.Errorf("the report of test restore %s cannot be read: %s: %s", name, remote.Ending(a.Exit), observe.LastLine(a.Stderr))
			}
			tell(name, r, err)
		}
	},
}

func parseReport(text string) (report, error) {
	var r report
	numbers := map[string]*int64{"started": &r.Started, "ended": &r.Ended, "last_success": &r.LastSuccess, "now": &r.Now}
	texts := map[string]*string{"result": &r.Outcome, "why": &r.Reason, "volume": &r.Volume}
	failed := false
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if into := texts[key]; into != nil {
			*into = value
		} else if into := numbers[key]; into != nil && value != "" {
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return report{}, fmt.Errorf("the report of a test restore says %q: expected a number of seconds", strings.TrimSpace(line))
			}
			*into = n
		} else if key == "Result" {
			failed = value != "success"
		}
	}
	if r.Outcome != "" && r.Outcome != "succeeded" && r.Outcome != "failed" {
		return report{}, fmt.Errorf("the report of a test restore has the result %q: expected succeeded or failed", r.Outcome)
	}
	r.Unreported = failed && r.Outcome != "failed"
	return r, nil
}

const day = 24 * 60 * 60

// overdue reports whether the last test was longer ago than the schedule allows, with a day for the test itself.
func (r report) overdue(schedule string) bool {
	return r.Ended != 0 && r.Now-r.Ended > int64(period(schedule)+1)*day
}

// result returns what the module registers.
func (r report) result(overdue bool) Result {
	return Result{
		Outcome: r.Outcome, Reason: r.Reason, Volume: r.Volume, Seconds: int(max(0, r.Ended-r.Started)),
		Ended: stamp(r.Ended), LastSuccess: stamp(r.LastSuccess), Overdue: overdue,
	}
}

func stamp(seconds int64) string {
	if seconds == 0 {
		return ""
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}

// told returns the note about the last test.
func (m *Module) told(r report, overdue bool) string {
	const form = "2006-01-02 15:04 UTC"
	at := func(seconds int64) string { return time.Unix(seconds, 0).UTC().Format(form) }
	text := "test restore of " + m.Guest
	before := "none has succeeded yet"
	if r.LastSuccess != 0 {
		before = "the last success was at " + at(r.LastSuccess)
	}
	took := time.Duration(max(0, r.Ended-r.Started)) * time.Second
	switch {
	case r.Unreported:
		text += fmt.Sprintf(": the service has failed without a report (%s): journalctl -u %s", before, m.mark())
	case r.Outcome == "":
		text += fmt.Sprintf(": it has not run yet; to test now: systemctl start %s", m.mark())
	case r.Outcome == "failed":
		text += fmt.Sprintf(" FAILED at %s: %s; %s; journalctl -u %s shows the rest", at(r.Ended), r.Reason, before, m.mark())
	default:
		text += fmt.Sprintf(" succeeded at %s, in %s (%s)", at(r.Ended), took, r.Volume)
	}
	if overdue {
		text += fmt.Sprintf("; that is longer ago than %q allows: systemctl status %s", m.Schedule, m.unit("timer"))
	}
	return text
}

var (
	weekdayForm = pattern.New(`(?i)^(mon|tue|wed|thu|fri|sat|sun)`)
	// monthForm matches a date that names its month: 2026-03-01, 03-01.
	monthForm = pattern.New(`(^|-)[0-9][0-9,./]*-[^-]+$`)
)

// named lists the calendar events that have a name, with their periods in days.
var named = map[string]int{"minutely": 1, "hourly": 1, "daily": 1, "weekly": 7, "monthly": 31, "quarterly": 92, "semiannually": 184, "semi-annually": 184, "yearly": 366, "annually": 366}

// period returns the longest time between two occurrences of a calendar event, in days. Several weekdays count as a week,
// and several days of the month as a month.
func period(schedule string) int {
	if days, ok := named[strings.ToLower(schedule)]; ok {
		return days
	}
	days := 1
	for part := range strings.FieldsSeq(schedule) {
		switch {
		case weekdayForm.MatchString(part):
			days = max(days, 7)
		case strings.Contains(part, "-") && monthForm.MatchString(part):
			days = 366
		case strings.Contains(part, "-"):
			days = 31 + days - 1 // a weekday among certain days of the month
		}
	}
	return days
}

// minutesOnly reports whether an event's time of the day has no hour. Proxmox VE's calendar events allow that, systemd's do not.
func minutesOnly(schedule string) bool {
	parts := strings.Fields(schedule)
	last := parts[len(parts)-1]
	_, isName := named[strings.ToLower(schedule)]
	return !isName && !strings.ContainsAny(last, ":-") && !weekdayForm.MatchString(last)
}
