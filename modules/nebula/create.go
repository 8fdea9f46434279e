package nebula

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/slackhq/nebula/cert"
)

// NewAuthority creates a certificate authority of Curve25519, in the format that Nebula 1.6 reads, and returns its
// certificate and its private key (PEM). It is valid from an hour before now, so that hosts whose clocks are slow accept
// it, until life after now.
func NewAuthority(name string, now time.Time, life time.Duration) (certificate, key []byte, err error) {
	switch {
	case strings.TrimSpace(name) == "" || strings.ContainsFunc(name, unicode.IsControl):
		return nil, nil, fmt.Errorf("%q is not a name for an authority: expected text on one line", name)
	case life < time.Hour:
		return nil, nil, fmt.Errorf("an authority that is valid for %s is of no use: expected at least 1h", life)
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	now = now.Truncate(time.Second)
	t := cert.TBSCertificate{Version: cert.Version1, Curve: cert.Curve_CURVE25519, Name: name, IsCA: true, PublicKey: public, NotBefore: now.Add(-slow), NotAfter: now.Add(life)}
	c, err := t.Sign(nil, cert.Curve_CURVE25519, private)
	if err != nil {
		return nil, nil, err
	}
	certificate, err = c.MarshalPEM()
	return certificate, cert.MarshalSigningPrivateKeyToPEM(cert.Curve_CURVE25519, private), err
}
