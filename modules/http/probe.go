package http

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// probes observes what web servers answer to the controller. Its names are questions in JSON.
var probes = &observe.Kind[answer]{
	Name: "http-probe", What: "what a web server answers to the controller",
	Shared: observe.Always,
	Probe: func(ctx context.Context, dial observe.Dial, name string) (answer, error) {
		var q question
		if err := json.Unmarshal([]byte(name), &q); err != nil {
			return answer{}, fmt.Errorf("a question is not JSON: %w", err)
		}
		if q.unpinned() {
			return answer{Open: true, Problem: "the certificate is not known yet"}, nil
		}
		return q.probe(ctx, dial), nil
	},
	Complete: complete,
}

// requestTime limits a request, from connecting to reading the response.
const requestTime = 10 * time.Second

// probe sends the request from the controller. It sends nothing to a server whose certificate is not as expected.
func (q question) probe(ctx context.Context, dial observe.Dial) answer {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	var shown atomic.Value // set by the transport, which may still be connecting when the time is up
	shown.Store("")
	transport := &http.Transport{
		DialContext: dial, DisableKeepAlives: true, MaxResponseHeaderBytes: 1 << 16,
		TLSClientConfig: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			InsecureSkipVerify: q.Insecure || q.SHA256 != "", // a pinned certificate is compared below
			VerifyConnection: func(s tls.ConnectionState) error {
				sum := sumOf(s.PeerCertificates[0].Raw)
				shown.Store(sum)
				if q.SHA256 != "" && sum != q.SHA256 {
					return fmt.Errorf("it presents certificate %s, expected %s", fingerprint(sum), fingerprint(q.SHA256))
				}
				return nil
			},
		},
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, q.URL, nil)
	if err != nil {
		return answer{Problem: err.Error()}
	}
	request.Header.Set("User-Agent", "hlplay")
	response, err := client.Do(request)
	if err != nil {
		return answer{Problem: "no answer: " + noAnswer(err), SHA256: shown.Load().(string)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, most))
	a := answer{Status: response.StatusCode, SHA256: shown.Load().(string)}
	if a.Problem = q.wrong(a.Status, body); a.Problem == "" && err != nil {
		a.Problem = fmt.Sprintf("the response ended after %d bytes: %v", len(body), err)
	}
	a.AsExpected = a.Problem == ""
	return a
}

// noAnswer says why there is no response, and what to do about an untrusted certificate.
func noAnswer(err error) string {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	var unverified *tls.CertificateVerificationError
	switch {
	case errors.As(err, &unverified):
		return fmt.Sprintf("%v (its SHA-256 is %s); if it is the right one, pin it with sha256, or name its file on the host in certificate",
			err, fingerprint(sumOf(unverified.UnverifiedCertificates[0].Raw)))
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no response within %v", requestTime)
	}
	return err.Error()
}

func sumOf(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// fingerprint formats a checksum as is usual for certificates, in pairs of digits.
func fingerprint(sum string) string {
	var pairs []string
	for i := 0; i+1 < len(sum); i += 2 {
		pairs = append(pairs, strings.ToUpper(sum[i:i+2]))
	}
	return strings.Join(pairs, ":")
}

// parseFingerprint reverses fingerprint. Colons are optional.
func parseFingerprint(text string) (sum string, ok bool) {
	sum = strings.ToLower(strings.ReplaceAll(text, ":", ""))
	b, err := hex.DecodeString(sum)
	return sum, err == nil && len(b) == sha256.Size
}

// pinned returns the checksum of the certificate that the server must present. It is "" if any is accepted or, with
// Certificate, if it is not known yet.
func (r *Request) pinned(ctx context.Context, h modules.Host) (string, error) {
	if r.SHA256 != "" {
		sum, _ := parseFingerprint(r.SHA256) // Validate has checked it
		return sum, nil
	}
	observe.Files.Want(h, r.Certificate...)
	for _, name := range r.Certificate {
		text, exists, err := observe.Text(ctx, h, name)
		if err != nil {
			return "", err
		}
		if !exists {
			continue
		}
		block, _ := pem.Decode([]byte(text))
		if block == nil || block.Type != "CERTIFICATE" {
			return "", &modules.FinalError{Err: fmt.Errorf("%s on %s does not begin with a certificate in PEM form", name, h.Name())}
		}
		return sumOf(block.Bytes), nil
	}
	return "", nil
}
