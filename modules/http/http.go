// Package http implements the module that checks a web server's response, from a host or from the controller.
package http

import (
	"context"
	"fmt"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// Spec is the module's entry in the registry.
var Spec = modules.Spec{
	Name:    "http",
	Aliases: []string{"uri", "get_url"},
	Summary: "Asks a web server, from the host or the controller, until it answers as expected",
	Doc: `Repeats a GET request, from the host or from the controller, until the response has an expected status and a matching body. It
changes nothing. Redirects are not followed: expect status 301 or 302 instead.

In check mode, a response that is not as expected yet is predicted to become so.

From the host, the request is sent with curl, which must be installed there. From the controller, hlplay sends it itself, without a proxy and
through the inventory's port forwards; a rehearsal can only reach ports 80 and 8006 of simulated nodes.

The machine that asks must trust the server's certificate. Proxmox VE nodes have certificates signed by the cluster's
own authority: have the controller compare them with a fingerprint, or with the file on the host, which is read over SSH. Of a certificate
that is pinned in this way, the name, issuer and dates are not checked.`,
	Example: `task "the web interface answers the controller" {
  http {
    url         = "https://${host.address}:8006/"
    from        = "controller"
    certificate = ["/etc/pve/local/pveproxy-ssl.pem", "/etc/pve/local/pve-ssl.pem"]
    timeout     = "2m"
  }
}

task "the proxy serves the page to this host" {
  http {
    url  = "https://www.example.org/"
    body = "<title>Welcome"
  }
}
`,
	Result: Result{},
	New:    func() modules.Module { return &Request{} },
}

// Result is what the module registers.
type Result struct {
	Status cty.Value `cty:"status" type:"number" doc:"Status of the response; null if there was none."`
	SHA256 cty.Value `cty:"sha256" type:"string" doc:"SHA-256 of the certificate that the server presented to the controller, 64 hexadecimal digits; null if there was none."`
}

// Request is a request and the response that is expected.
type Request struct {
	URL      string `hcl:"url" doc:"URL to request: http://… or https://…, without a password."`
	Status   []int  `hcl:"status,optional" default:"[200]" doc:"Expected statuses."`
	Body     string `hcl:"body,optional" doc:"Regular expression (RE2; ^ and $ match at line breaks) that the first 1 MiB of the body must match."`
	From     string `hcl:"from,optional" default:"host" enum:"host,controller" doc:"Which machine sends the request."`
	Insecure bool   `hcl:"insecure,optional" default:"false" doc:"Accept any certificate."`
	SHA256   string `hcl:"sha256,optional" doc:"SHA-256 of the certificate that the server must present to the controller: 64 hexadecimal digits, with or without colons."`
	// Certificate holds paths on the host.
	Certificate []string      `hcl:"certificate,optional" doc:"Files on the host (PEM). The first that exists holds the certificate that the server must present to the controller."`
	Timeout     time.Duration `hcl:"timeout,optional" default:"1m" doc:"How long to repeat the request before the task fails. Each request may take ten seconds."`
}

// Validate implements modules.Validator.
func (r *Request) Validate() error {
	at, err := url.Parse(r.URL)
	switch {
	case err != nil || at.Hostname() == "" || at.Scheme != "http" && at.Scheme != "https" || strings.ContainsFunc(r.URL, unsendable) || !isPort(at.Port()):
		return &modules.ArgumentError{Argument: "url", Problem: fmt.Sprintf("%q is not the URL of a web server", r.URL), Want: "expected a URL such as https://192.0.2.1:8006/ (a blank in it is written %20)"}
	case at.User != nil:
		return &modules.ArgumentError{Argument: "url", Problem: "it contains a user name", Want: "expected a URL without one, because it would be visible in the process list of the host"}
	case len(r.Status) == 0:
		return &modules.ArgumentError{Argument: "status", Problem: "is empty: no response would be accepted", Want: "status = [200]"}
	}
	for _, status := range r.Status {
		if status < 100 || status > 599 {
			return &modules.ArgumentError{Argument: "status", Problem: fmt.Sprintf("%d is not an HTTP status", status), Want: "expected 100 to 599"}
		}
	}
	if _, err := regexp.Compile(r.Body); err != nil {
		return &modules.ArgumentError{Argument: "body", Problem: err.Error(), Want: "expected a regular expression in Go's syntax (RE2)"}
	}
	return r.validateCertificate(at.Scheme)
}

// unsendable reports whether curl rejects a URL because of a character.
func unsendable(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }

// isPort reports whether the port of a URL is valid. It may be missing.
func isPort(text string) bool {
	port, err := strconv.Atoi(text)
	return text == "" || err == nil && port > 0 && port <= 65535
}

func (r *Request) validateCertificate(scheme string) error {
	argument := ""
	switch {
	case len(r.Certificate) > 0:
		argument = "certificate"
	case r.SHA256 != "":
		argument = "sha256"
	default:
		return nil
	}
	fault := func(problem, want string) error {
		return &modules.ArgumentError{Argument: argument, Problem: problem, Want: want}
	}
	switch _, ok := parseFingerprint(r.SHA256); {
	case r.SHA256 != "" && !ok:
		return &modules.ArgumentError{Argument: "sha256", Problem: fmt.Sprintf("%q is not a SHA-256 fingerprint", r.SHA256), Want: "expected 64 hexadecimal digits, as openssl x509 -noout -fingerprint -sha256 prints them"}
	case !r.byController():
		return fault("the host's curl cannot compare certificates", `give from = "controller" as well`)
	case scheme != "https":
		return fault("only https has certificates", "give an https:// URL")
	case r.Insecure:
		return fault("insecure accepts any certificate", "give only one of the two")
	case r.SHA256 != "" && len(r.Certificate) > 0:
		return fault("sha256 already determines the certificate", "give only one of the two")
	}
	for _, name := range r.Certificate {
		if !path.IsAbs(name) {
			return fault(fmt.Sprintf("%q is not an absolute path", name), "")
		}
	}
	return nil
}

func (r *Request) byController() bool { return r.From == "controller" }

// OnlyReads implements modules.Reader.
func (r *Request) OnlyReads() bool { return true }

// Plan implements modules.Module.
func (r *Request) Plan(ctx context.Context, h modules.Host) (modules.Plan, error) {
	if err := r.Validate(); err != nil {
		return modules.Plan{}, err
	}
	kind := answers
	if r.byController() {
		kind = probes
	}
	q, err := r.question(ctx, h)
	if err != nil {
		return modules.Plan{}, err
	}
	key := q.key()
	found := answer{Problem: "none of " + strings.Join(r.Certificate, ", ") + " exists on the host"}
	if !q.unpinned() {
		found, err = kind.Observe(ctx, h, key)
	} else if known, ok := h.Known(kind.Key(key)); ok { // predicted by a step of this task
		found = known.(answer)
	}
	data := found.data()
	switch {
	case err != nil && !observe.IsUnknown(err):
		return modules.Plan{}, err
	case err == nil && found.AsExpected:
		return modules.Plan{Data: data}, nil
	case err == nil && found.NoCurl:
		// In check mode, an earlier task may install it.
		p, err := observe.Packages.Observe(ctx, h, "curl")
		if err != nil {
			return modules.Plan{}, err
		}
		if !p.Installed() {
			return modules.Plan{}, &modules.FinalError{Err: fmt.Errorf("%s has no curl to query %s: install it in an earlier task, with apt { packages = [\"curl\"] }", h.Name(), r.URL)}
		}
	}
	return modules.Plan{Data: data, Steps: []modules.Step{{
		Summary: "wait for " + r.what(),
		Action:  modules.Wait{},
		Expect:  []observe.Expectation{kind.Expect(key, answer{AsExpected: true})},
		Settle:  r.Timeout,
		Await:   r.what(),
		Unmet:   found.Problem,
		Refresh: true,
	}}}, nil
}

// question returns the question to ask.
func (r *Request) question(ctx context.Context, h modules.Host) (question, error) {
	sum, err := r.pinned(ctx, h)
	if err != nil && !observe.IsUnknown(err) {
		return question{}, err
	}
	return question{URL: r.URL, Status: r.Status, Body: r.Body, Insecure: r.Insecure, SHA256: sum, Certificate: r.Certificate}, nil
}

// data returns what an answer registers. Of a predicted answer, nothing is known.
func (a answer) data() cty.Value {
	result := Result{Status: cty.NullVal(cty.Number), SHA256: cty.NullVal(cty.String)}
	switch {
	case a.Status != 0:
		result.Status = cty.NumberIntVal(int64(a.Status))
	case a.AsExpected:
		result.Status, result.SHA256 = cty.UnknownVal(cty.Number), cty.UnknownVal(cty.String)
	}
	if a.SHA256 != "" {
		result.SHA256 = cty.StringVal(a.SHA256)
	}
	return modules.Data(result)
}

// what describes the expected response.
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
