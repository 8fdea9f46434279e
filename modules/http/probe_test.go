package http

import (
	"context"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/observe"
	"hlplay/modules"
	"hlplay/modules/internal/modulestest"
)

const pveCertificate = "/etc/pve/local/pve-ssl.pem"

func TestProbe(t *testing.T) {
	asked := 0
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		switch r.URL.Path {
		case "/elsewhere":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/short":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("Proxmox"))
		case "/":
			_, _ = w.Write([]byte("<html>\nProxmox VE\n"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	var dialer net.Dialer
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if address == "192.0.2.1:8006" {
			return dialer.DialContext(ctx, network, server.Listener.Addr().String())
		}
		return nil, errors.New("nobody listens")
	}
	shows := sumOf(server.Certificate().Raw)
	for _, test := range []struct {
		name    string
		change  func(*question)
		problem string // empty if the answer is as expected
	}{
		{"the certificate that is pinned", func(q *question) { q.SHA256 = shows }, ""},
		{"any certificate", func(q *question) { q.Insecure = true }, ""},
		{"a certificate that nobody vouches for", func(*question) {}, "SHA-256 is " + fingerprint(shows)},
		{"another certificate", func(q *question) { q.SHA256 = strings.Repeat("0", 64) }, "it presents certificate " + fingerprint(shows)},
		{"another status", func(q *question) { q.SHA256, q.URL = shows, q.URL+"nothing" }, "it responds with status 404"},
		{"a redirect is not followed", func(q *question) { q.SHA256, q.URL = shows, q.URL+"elsewhere" }, "it responds with status 302"},
		{"another body", func(q *question) { q.SHA256, q.Body = shows, "nginx" }, `does not match "nginx"`},
		{"an answer that stops in the middle", func(q *question) { q.SHA256, q.URL = shows, q.URL+"short" }, "the response ended after 7 bytes"},
		{"nobody listens", func(q *question) { q.URL = "https://192.0.2.2/" }, "no answer: nobody listens"},
	} {
		t.Run(test.name, func(t *testing.T) {
			q := question{URL: "https://192.0.2.1:8006/", Status: []int{200}, Body: "^(Proxmox|$)"}
			test.change(&q)
			before := asked
			a := q.probe(t.Context(), dial)
			if !strings.Contains(a.Problem, test.problem) || a.AsExpected != (test.problem == "") {
				t.Errorf("the answer is %+v, expected the problem %q", a, test.problem)
			}
			if wrong := strings.Contains(a.Problem, "certificate"); wrong && asked > before {
				t.Error("a server whose certificate is wrong was sent the request all the same")
			}
			if a.Status != 0 && a.SHA256 != shows {
				t.Errorf("the certificate that was shown is %s, not %s", a.SHA256, shows)
			}
		})
	}
}

func TestPlanFromTheController(t *testing.T) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	der := server.Certificate().Raw
	file := func(content string) observe.Expectation {
		return observe.Files.Expect(pveCertificate, observe.File{Type: observe.Regular, Content: []byte(content), Size: int64(len(content))})
	}
	const own = "/etc/pve/local/pveproxy-ssl.pem"
	none := observe.Files.Expect(own, observe.File{})
	r := func() *Request {
		r := modulestest.Decoded(&Request{URL: "https://192.0.2.1:8006/", From: "controller", Certificate: []string{own, pveCertificate}})
		return r
	}
	pinned := question{URL: r().URL, Status: []int{200}, SHA256: sumOf(der), Certificate: r().Certificate}
	present := file(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))

	plan := modulestest.Converges(t, r(), observe.NewRecorded("pve1", none, present, probes.Expect(pinned.key(), answer{AsExpected: true, Status: 200, SHA256: pinned.SHA256})))
	if len(plan.Steps) > 0 || !plan.Data.GetAttr("sha256").RawEquals(cty.StringVal(pinned.SHA256)) {
		t.Errorf("the server answers, but the plan is %+v", plan)
	}
	const live = "/etc/letsencrypt/archive/fullchain1.pem"
	elsewhere := observe.Files.Expect(live, observe.File{Type: observe.Regular, Content: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})})
	link := func(loose string) observe.Expectation {
		return observe.Files.Expect(pveCertificate, observe.File{Type: observe.Symlink, Owner: "root", Target: live, Loose: loose})
	}
	answers := probes.Expect(pinned.key(), answer{AsExpected: true, Status: 200, SHA256: pinned.SHA256})
	if plan, err := r().Plan(t.Context(), observe.NewRecorded("pve1", none, link(""), elsewhere, answers)); err != nil || len(plan.Steps) > 0 {
		t.Errorf("a link to the certificate: %+v, %v", plan, err)
	}
	if _, err := r().Plan(t.Context(), observe.NewRecorded("pve1", none, link("alice"), elsewhere, answers)); err == nil || !strings.Contains(err.Error(), "alice may change it") {
		t.Errorf("a link of alice's to the certificate: %v", err)
	}
	for name, certificate := range map[string]observe.Expectation{
		"no file yet": file(""), "a file that an earlier task brings": observe.Files.Unknown(pveCertificate, "a package"),
	} {
		if name == "no file yet" {
			certificate = observe.Files.Expect(pveCertificate, observe.File{})
		}
		plan := modulestest.Converges(t, r(), observe.NewRecorded("pve1", none, certificate))
		if len(plan.Steps) != 1 {
			t.Errorf("%s: the plan is %+v, expected a step that waits", name, plan)
		}
	}
	var final *modules.FinalError
	if _, err := r().Plan(t.Context(), observe.NewRecorded("pve1", none, file("no certificate"))); !errors.As(err, &final) || !strings.Contains(err.Error(), pveCertificate+" on pve1") {
		t.Errorf("a file without a certificate: %v", err)
	}
}
