// Package http lets a playbook ask a web server from a host.
package http

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Spec is the module as the registry lists it.
var Spec = modules.Spec{
	Name:    "http",
	Aliases: []string{"uri", "get_url"},
	Summary: "Asks a web server from the host until it answers as expected",
	Doc: `Sends a GET request from the host, and again until the answer has one of the statuses, and a body that matches. It changes
nothing and never counts as a change. Redirects are not followed: expect 301 or 302 where there is one.

In check mode an answer that is not as expected yet is taken to be so afterwards.

The host needs curl. The certificate of a server must be one that the host trusts, unless insecure is set: that of a new node of
Proxmox VE is signed by an authority of its own.`,
	Example: `task "the web interface answers" {
  http {
    url      = "https://${host.address}:8006/"
    insecure = true
    timeout  = "2m"
  }
}
`,
	New: func() modules.Module { return &Request{} },
}

// Request is a request and the answer that is expected.
type Request struct {
	URL      string        `hcl:"url" doc:"Where to ask: http://… or https://…. Passwords do not belong here."`
	Status   []int         `hcl:"status,optional" default:"[200]" doc:"Statuses of an answer that is as expected."`
	Body     string        `hcl:"body,optional" doc:"Regular expression (RE2; ^ and $ match at line breaks) that the first 1 MiB of the body must match."`
	Insecure bool          `hcl:"insecure,optional" default:"false" doc:"Accept any certificate."`
	Timeout  time.Duration `hcl:"timeout,optional" default:"1m" doc:"How long to ask again before the task fails. Each request has ten seconds."`
}

// Validate implements modules.Validator.
func (r *Request) Validate() error {
	at, err := url.Parse(r.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "http" && at.Scheme != "https":
		return &modules.ArgumentError{Argument: "url", Problem: fmt.Sprintf("%q is not the URL of a web server", r.URL), Want: `http://HOST/… or https://HOST:PORT/…`}
	case at.User != nil:
		return &modules.ArgumentError{Argument: "url", Problem: "it holds a user", Want: "a URL without one: it would be seen in the process list of the host"}
	case len(r.Status) == 0:
		return &modules.ArgumentError{Argument: "status", Problem: "is empty: no answer would be as expected", Want: "status = [200]"}
	}
	for _, status := range r.Status {
		if status < 100 || status > 599 {
			return &modules.ArgumentError{Argument: "status", Problem: fmt.Sprintf("%d is not a status of HTTP", status), Want: "100 to 599"}
		}
	}
	if _, err := regexp.Compile(r.Body); err != nil {
		return &modules.ArgumentError{Argument: "body", Problem: err.Error(), Want: "write it in Go's syntax (RE2)"}
	}
	return nil
}

// OnlyReads implements modules.Reader.
func (r *Request) OnlyReads() bool { return true }

// Plan implements modules.Module.
func (r *Request) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := r.Validate(); err != nil {
		return modules.Plan{}, err
	}
	key := r.key()
	found, err := answers.Observe(ctx, h, key)
	switch {
	case err != nil && !observe.IsUnknown(err):
		return modules.Plan{}, err
	case err == nil && found.AsExpected:
		return modules.Plan{}, nil
	case err == nil && found.NoCurl:
		// In check mode an earlier task may bring it.
		p, err := observe.Packages.Observe(ctx, h, "curl")
		if err != nil {
			return modules.Plan{}, err
		}
		if !p.Installed() {
			return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s has no curl to ask %s with: install it in a task before this one, apt { packages = [\"curl\"] }", h.Name(), r.URL)}
		}
	}
	return modules.Plan{Steps: []modules.Step{{
		Summary: "wait for " + r.what(),
		Action:  modules.Wait{},
		Expect:  []observe.Expectation{answers.Expect(key, answer{AsExpected: true})},
		Settle:  r.Timeout,
		Await:   r.what(),
		Unmet:   found.Problem,
		Refresh: true,
	}}}, nil
}

// what describes the awaited answer.
func (r *Request) what() string {
	var statuses []string
	for _, status := range r.Status {
		statuses = append(statuses, strconv.Itoa(status))
	}
	what := r.URL + " to answer " + strings.Join(statuses, " or ")
	if r.Body != "" {
		what += fmt.Sprintf(" with a body that matches %q", r.Body)
	}
	return what
}
