package http

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
)

// answer is the outcome of a request.
type answer struct {
	// AsExpected says that the answer is as expected. Otherwise Problem says what is wrong.
	AsExpected bool
	Problem    string
	// NoCurl says that the host has no curl to ask with.
	NoCurl bool
	// Open says that the request was not made, because the expected certificate was unknown.
	Open bool
	// Status is the status of the response, or 0 if there was none. SHA256 is the checksum of the certificate that the
	// server presented to the controller.
	Status int
	SHA256 string
}

// question is a Request without its timeout. As JSON, it is the name of an observation.
type question struct {
	URL      string
	Status   []int
	Body     string
	Insecure bool
	// SHA256 is the checksum that the server's certificate must have, and Certificate the files that it is read from.
	SHA256      string   `json:",omitempty"`
	Certificate []string `json:",omitempty"`
}

// unpinned reports whether the expected certificate is still unknown.
func (q question) unpinned() bool { return len(q.Certificate) > 0 && q.SHA256 == "" }

func (q question) key() string {
	b, err := json.Marshal(q)
	if err != nil { // strings and numbers always marshal
		return err.Error()
	}
	return string(b)
}

// answers observes what web servers answer to the host. Its names are questions in JSON.
var answers = &observe.Kind[answer]{
	Name: "http", What: "what a web server answers",
	Shared: observe.Always,
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			var q question
			if json.Unmarshal([]byte(name), &q) != nil {
				continue
			}
			args := []string{q.URL}
			if q.Insecure {
				args = append([]string{"--insecure"}, args...)
			}
			queries = append(queries, remote.Query{Script: askScript, Args: args})
		}
		return queries
	},
	Parse: func(names []string, from []remote.Answer, tell func(string, answer, error)) {
		for _, name := range names {
			var q question
			if err := json.Unmarshal([]byte(name), &q); err != nil {
				tell(name, answer{}, fmt.Errorf("a question is not JSON: %w", err))
				continue
			}
			tell(name, q.judge(from[0]), nil)
			from = from[1:]
		}
	},
	Complete: complete,
}

// complete fills in what a predicted answer leaves open.
func complete(expected, found answer) answer {
	if found.Open {
		return found
	}
	expected.Problem, expected.Status, expected.SHA256 = found.Problem, found.Status, found.SHA256
	return expected
}

// most is how much of a body is read, in bytes.
const most = 1 << 20

// askScript prints the beginning of the body, and on the last line of standard error the status and curl's exit code.
// Without --globoff, curl expands braces and brackets in URLs.
var askScript = `command -v curl >/dev/null || exit 127
curl --globoff --silent --show-error --max-time 10 --write-out '%{stderr}%{http_code} %{exitcode}\n' "$@" | head -c ` + strconv.Itoa(most)

// judge compares a response with what the question expects.
func (q question) judge(a remote.Answer) answer {
	if a.Exit == 127 {
		return answer{NoCurl: true, Problem: "the host has no curl"}
	}
	words := strings.Fields(observe.LastLine(a.Stderr))
	status, ended := 0, -1
	if len(words) == 2 {
		status, _ = strconv.Atoi(words[0]) // 0 if it is not a number
		ended, _ = strconv.Atoi(words[1])
	}
	const cannotWrite = 23 // head stops reading after that
	whole := ended == 0 || ended == cannotWrite && len(a.Stdout) == most
	switch {
	case status == 0:
		first, _, _ := strings.Cut(strings.TrimSpace(string(a.Stderr)), "\n")
		return answer{Problem: "no answer: " + first}
	case !whole && slices.Contains(q.Status, status):
		first, _, _ := strings.Cut(strings.TrimSpace(string(a.Stderr)), "\n")
		return answer{Status: status, Problem: fmt.Sprintf("the response ended after %d bytes: %s", len(a.Stdout), first)}
	}
	problem := q.wrong(status, a.Stdout)
	return answer{AsExpected: problem == "", Problem: problem, Status: status}
}

// wrong says what in a response is not as expected, or "" if everything is.
func (q question) wrong(status int, content []byte) string {
	if !slices.Contains(q.Status, status) {
		return fmt.Sprintf("it responds with status %d", status)
	}
	body, err := regexp.Compile("(?m)" + q.Body)
	if err != nil || !body.Match(content) {
		return fmt.Sprintf("its response of %d bytes does not match %q", len(content), q.Body)
	}
	return ""
}
