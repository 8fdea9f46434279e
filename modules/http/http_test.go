package http

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

func TestJudge(t *testing.T) {
	q := question{Status: []int{200, 204}, Body: "^Proxmox"}
	for _, test := range []struct {
		name    string
		from    remote.Answer
		problem string // empty if the answer is as expected
	}{
		{"as expected", remote.Answer{Stdout: []byte("<html>\nProxmox VE\n"), Stderr: []byte("200 0\n")}, ""},
		{"a body of which the beginning is enough", remote.Answer{Stdout: []byte("Proxmox" + strings.Repeat(".", most-7)), Stderr: []byte("curl: (23) Failed writing body\n200 23\n")}, ""},
		{"an answer that stops in the middle", remote.Answer{Stdout: []byte("Proxmox"), Stderr: []byte("curl: (28) Operation timed out\n200 28\n")},
			"the response ended after 7 bytes: curl: (28) Operation timed out"},
		{"another status", remote.Answer{Stdout: []byte("Proxmox"), Stderr: []byte("503 0\n")}, "it responds with status 503"},
		{"another body", remote.Answer{Stdout: []byte("nginx"), Stderr: []byte("200 0\n")}, `its response of 5 bytes does not match "^Proxmox"`},
		{"nobody listens", remote.Answer{Stderr: []byte("curl: (7) Failed to connect to pve1 port 8006\n000 7\n")}, "no answer: curl: (7) Failed to connect to pve1 port 8006"},
		{"a certificate that is not trusted", remote.Answer{Stderr: []byte("curl: (60) SSL certificate problem: self-signed certificate\nMore details here: https://curl.se/docs/sslcerts.html\n000 60\n")},
			"no answer: curl: (60) SSL certificate problem: self-signed certificate"},
		{"no curl", remote.Answer{Exit: 127}, "the host has no curl"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := q.judge(test.from); got.Problem != test.problem || got.AsExpected != (test.problem == "") {
				t.Errorf("the answer is %+v, expected the problem %q", got, test.problem)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	r := &Request{URL: "https://192.0.2.1:8006/", Status: []int{200}, Timeout: time.Minute}
	key := question{URL: r.URL, Status: r.Status}.key()
	plan := modulestest.Converges(t, r, observe.NewRecorded("pve1", answers.Expect(key, answer{AsExpected: true})))
	if len(plan.Steps) > 0 {
		t.Errorf("the server answers, but the plan is:\n%s", modulestest.Summaries(plan))
	}
	for _, known := range []observe.Expectation{answers.Expect(key, answer{Problem: "it responds with status 503"}), answers.Unknown(key, "a package")} {
		plan := modulestest.Converges(t, r, observe.NewRecorded("pve1", known))
		if len(plan.Steps) != 1 || plan.Steps[0].Await != "https://192.0.2.1:8006/ to answer 200" || plan.Steps[0].Settle != time.Minute || !plan.Steps[0].Refresh {
			t.Errorf("the steps are %+v, expected to wait a minute for the answer", plan.Steps)
		}
	}
	none := answers.Expect(key, answer{NoCurl: true})
	_, err := r.Plan(t.Context(), observe.NewRecorded("pve1", none, observe.Packages.Expect("curl", observe.Package{})))
	if err == nil || !strings.Contains(err.Error(), "pve1 has no curl") {
		t.Errorf("expected an error that says what is missing, got %v", err)
	}
	coming := observe.Packages.Expect("curl", observe.Package{Status: observe.InstalledStatus, Version: "8"})
	if plan, err := r.Plan(t.Context(), observe.NewRecorded("pve1", none, coming)); err != nil || len(plan.Steps) != 1 {
		t.Errorf("an earlier task installs curl, but the plan is %+v (%v)", plan.Steps, err)
	}
}

// TestOneRequest checks that the host's curl sends a single request, even if the URL contains characters that curl
// expands.
func TestOneRequest(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer server.Close()
	for _, path := range []string{"/{a,b}", "/[1-3]", "/?name[]=x"} {
		asked.Store(0)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", askScript, "sh", server.URL+path).CombinedOutput()
		if err != nil || asked.Load() != 1 {
			t.Errorf("%s: %d requests, %v: %s", path, asked.Load(), err, out)
		}
	}
}

func TestValidate(t *testing.T) {
	for _, test := range []struct {
		argument string
		request  Request
	}{
		{"url", Request{URL: "pve1:8006"}},
		{"url", Request{URL: "file:///etc/shadow"}},
		{"url", Request{URL: "--output=/etc/x"}},
		{"url", Request{URL: "http://:8006/"}},
		{"url", Request{URL: "http://pve1:99999/"}},
		{"url", Request{URL: "http://pve1/a b"}},
		{"url", Request{URL: "http://pve1/\u00a0"}},
		{"url", Request{URL: "https://root:secret@pve1/"}},
		{"status", Request{URL: "https://pve1/", Status: []int{2000}}},
		{"body", Request{URL: "https://pve1/", Body: "("}},
		{"sha256", Request{URL: "https://pve1/", From: "controller", SHA256: "abc"}},
		{"sha256", Request{URL: "https://pve1/", SHA256: strings.Repeat("ab", 32)}},
		{"sha256", Request{URL: "http://pve1/", From: "controller", SHA256: strings.Repeat("ab", 32)}},
		{"certificate", Request{URL: "https://pve1/", Certificate: []string{"/a"}}},
		{"certificate", Request{URL: "https://pve1/", From: "controller", Certificate: []string{"a"}}},
		{"certificate", Request{URL: "https://pve1/", From: "controller", Certificate: []string{"/a"}, Insecure: true}},
		{"certificate", Request{URL: "https://pve1/", From: "controller", Certificate: []string{"/a"}, SHA256: strings.Repeat("AB:", 31) + "AB"}},
	} {
		var fault *modules.ArgumentError
		if err := modulestest.Decoded(&test.request).Validate(); !errors.As(err, &fault) || fault.Argument != test.argument {
			t.Errorf("%+v: the fault is %v, expected one in %s", test.request, err, test.argument)
		}
	}
}
