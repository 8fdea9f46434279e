package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// NewJUnit returns a Reporter that writes a run as JUnit XML on Close: a play is a suite, and a task on a host is a
// case. A failed task is a failure, unless the playbook ignores or rescues it; a host that was not reached is an error.
// A case's output says what changed.
func NewJUnit(w io.Writer) Reporter { return &junit{w: w} }

type junit struct {
	w      io.Writer
	name   string
	suites []*junitSuite
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	File    string        `xml:"file,attr,omitempty"`
	Line    int           `xml:"line,attr,omitempty"`
	Time    string        `xml:"time,attr"`
	Failure *junitProblem `xml:"failure"`
	Error   *junitProblem `xml:"error"`
	Skipped *junitProblem `xml:"skipped"`
	Output  string        `xml:"system-out,omitempty"`
}

type junitProblem struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func (j *junit) Report(e Event) {
	switch e := e.(type) {
	case RunStarted:
		j.name = e.Playbook
	case TaskResult:
		j.add(e)
	}
}

func (j *junit) add(r TaskResult) {
	var suite *junitSuite
	for _, s := range j.suites {
		if s.Name == r.Play {
			suite = s
		}
	}
	if suite == nil {
		suite = &junitSuite{Name: r.Play}
		j.suites = append(j.suites, suite)
	}
	c := junitCase{
		Class: r.Play, Name: fmt.Sprintf("%s [%s]", r.Task, r.Host), File: r.File, Line: r.Line,
		Time: fmt.Sprintf("%.3f", r.Duration.Seconds()), Output: Printable(happened(r)),
	}
	problem := &junitProblem{Message: OneLine(r.Message), Text: Printable(explained(r))}
	switch {
	case bad(r.Status) && r.forgiven():
	case r.Status == Failed:
		c.Failure = problem
		suite.Failures++
	case r.Status == Unreachable:
		c.Error = problem
		suite.Errors++
	case r.Status == Skipped:
		c.Skipped = &junitProblem{Message: problem.Message}
		suite.Skipped++
	}
	suite.Tests++
	suite.Cases = append(suite.Cases, c)
}

// happened returns what a task did, or would do, on a host, with the remarks about it.
func happened(r TaskResult) string {
	lines := append([]string{}, r.Steps...)
	for _, step := range r.Unfinished {
		lines = append(lines, "not completed: "+step)
	}
	for _, note := range r.Notes {
		lines = append(lines, "note: "+note)
	}
	switch {
	case r.Status == Uncertain:
		lines = append(lines, "uncertain: "+r.Message)
	case bad(r.Status) && r.Ignored:
		lines = append(lines, "failed, ignored: "+explained(r))
	case bad(r.Status) && r.Rescued:
		lines = append(lines, "failed, rescued: "+explained(r))
	}
	return strings.Join(lines, "\n")
}

// explained returns what there is to say about a failure besides its message.
func explained(r TaskResult) string {
	lines := []string{r.Message, fmt.Sprintf("at %s:%d", r.File, r.Line)}
	if r.Hint != "" {
		lines = append(lines, "hint: "+r.Hint)
	}
	if r.Output != "" {
		lines = append(lines, r.Output)
	}
	return strings.Join(lines, "\n")
}

// Close writes the document.
func (j *junit) Close() error {
	document := struct {
		XMLName xml.Name      `xml:"testsuites"`
		Name    string        `xml:"name,attr"`
		Suites  []*junitSuite `xml:"testsuite"`
	}{Name: j.name, Suites: j.suites}
	text, err := xml.MarshalIndent(document, "", "  ")
	if err != nil {
		return err
	}
	_, err = j.w.Write(append([]byte(xml.Header), append(text, '\n')...))
	return err
}
