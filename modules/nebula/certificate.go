package nebula

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/slackhq/nebula/cert"

	"hlplay/engine/plural"
)

// slow is the maximum by which a host's clock may lag behind that of the host whose certificate it checks.
const slow = time.Hour

// authority is the certificate authority that signs.
type authority struct {
	certificate cert.Certificate
	key         ed25519.PrivateKey
	// fingerprint identifies the authority in the certificates that it has signed.
	fingerprint string
}

// authority parses the certificates and the key of the authority. Errors disclose nothing of the key.
func (m *nebula) authority() (authority, error) {
	const wantCA = "expected the certificate that hlplay secret nebula-ca or nebula-cert ca wrote"
	const wantKey = "expected the private key that hlplay secret nebula-ca or nebula-cert ca wrote, kept encrypted in the repository"
	var none authority
	if strings.TrimSpace(m.CA) == "" {
		return none, bad("ca", wantCA, "is empty")
	}
	if strings.TrimSpace(m.CAKey) == "" {
		return none, bad("ca_key", wantKey, "is empty")
	}
	raw, _, curve, err := cert.UnmarshalSigningPrivateKeyFromPEM([]byte(m.CAKey))
	switch {
	case errors.Is(err, cert.ErrPrivateKeyEncrypted):
		return none, bad("ca_key", "expected one without a passphrase of its own, encrypted with hlplay secret encrypt", "the key has a passphrase")
	case err != nil:
		return none, bad("ca_key", wantKey, "is not the private key of an authority")
	case curve != cert.Curve_CURVE25519:
		return none, bad("ca_key", "expected one of Curve25519, which nebula-cert ca makes by default", "the key is of curve %s, which Nebula 1.6 does not know", curve)
	}
	key := ed25519.PrivateKey(raw)
	public, _ := key.Public().(ed25519.PublicKey)
	found := none
	for rest := []byte(m.CA); len(bytes.TrimSpace(rest)) > 0; {
		var c cert.Certificate
		if c, rest, err = cert.UnmarshalCertificateFromPEM(rest); err != nil {
			return none, bad("ca", wantCA, "a certificate cannot be read: %v", err)
		}
		switch {
		case !c.IsCA():
			return none, bad("ca", wantCA, "the certificate of %s is not one of an authority", c.Name())
		case c.Version() != cert.Version1:
			return none, bad("ca", "expected one made by nebula-cert ca -version 1", "the certificate of %s is of version %d, which Nebula 1.6 does not read", c.Name(), c.Version())
		case !c.CheckSignature(c.PublicKey()):
			return none, bad("ca", wantCA, "the certificate of %s is damaged: its signature is wrong", c.Name())
		}
		if bytes.Equal(c.PublicKey(), public) {
			print, err := c.Fingerprint()
			if err != nil {
				return none, bad("ca", wantCA, "the certificate of %s: %v", c.Name(), err)
			}
			found = authority{c, key, print}
		}
	}
	if found.certificate == nil {
		return none, bad("ca_key", "expected the key of one of the certificates in ca", "is the key of another authority")
	}
	return found, nil
}

// request is the content of a certificate to be signed.
type request struct {
	name    string
	network netip.Prefix
	groups  []string
	public  []byte
}

// end returns when a certificate signed now would expire: no later than the authority.
func (a authority) end(now time.Time, life time.Duration) time.Time {
	end := now.Add(life)
	if last := a.certificate.NotAfter().Add(-time.Second); last.Before(end) {
		return last
	}
	return end
}

// unfit returns why a certificate (PEM) has to be replaced, or "" if it is as requested and does not expire soon.
func (a authority) unfit(text string, r request, now time.Time, life, renewBefore time.Duration) string {
	if text == "" {
		return "it has none"
	}
	c, rest, err := cert.UnmarshalCertificateFromPEM([]byte(text))
	switch {
	case err != nil || len(bytes.TrimSpace(rest)) > 0:
		return "the present one cannot be read"
	case c.Issuer() != a.fingerprint || !c.CheckSignature(a.certificate.PublicKey()):
		return "the present one is of another authority"
	case !bytes.Equal(c.PublicKey(), r.public):
		return "its key is new"
	case c.IsCA() || c.Version() != cert.Version1 || c.Name() != r.name || !slices.Equal(c.Networks(), []netip.Prefix{r.network}) || len(c.UnsafeNetworks()) > 0:
		return "its name or address is new"
	case !slices.Equal(slices.Sorted(slices.Values(c.Groups())), slices.Sorted(slices.Values(r.groups))):
		return "its groups are new"
	case c.NotBefore().After(now):
		return "the present one is not valid yet"
	case !now.Before(c.NotAfter()):
		return "the present one has ended"
	// A certificate that lasts as long as the authority permits is not renewed again and again.
	case c.NotAfter().Sub(now) < renewBefore && c.NotAfter().Before(a.end(now, life).Truncate(time.Second)):
		return fmt.Sprintf("the present one ends in less than %s", span(renewBefore))
	}
	return ""
}

// sign returns a certificate as requested. It is deterministic.
func (a authority) sign(r request, now time.Time, life time.Duration) (cert.Certificate, error) {
	from := now.Add(-slow)
	if first := a.certificate.NotBefore(); from.Before(first) {
		from = first
	}
	t := cert.TBSCertificate{
		Version: cert.Version1, Curve: cert.Curve_CURVE25519, Name: r.name, Networks: []netip.Prefix{r.network},
		Groups: slices.Sorted(slices.Values(r.groups)), PublicKey: r.public, NotBefore: from, NotAfter: a.end(now, life),
	}
	return t.Sign(a.certificate, cert.Curve_CURVE25519, a.key)
}

// decodeKey decodes a public key of Curve25519.
func decodeKey(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err == nil && len(key) != 32 {
		err = fmt.Errorf("it has %d bytes, expected 32", len(key))
	}
	return key, err
}

// describe returns a certificate (PEM) as text, one property per line.
func describe(text string) string {
	c, _, err := cert.UnmarshalCertificateFromPEM([]byte(text))
	if text == "" || err != nil {
		return ""
	}
	groups := "none"
	if all := c.Groups(); len(all) > 0 {
		groups = strings.Join(all, ", ")
	}
	networks := make([]string, len(c.Networks()))
	for i, p := range c.Networks() {
		networks[i] = p.String()
	}
	return fmt.Sprintf("name: %s\naddress: %s\ngroups: %s\nvalid from: %s\nvalid to: %s\nauthority: %s\n", c.Name(), strings.Join(networks, ", "), groups,
		c.NotBefore().UTC().Format(time.RFC3339), c.NotAfter().UTC().Format(time.RFC3339), c.Issuer())
}

// span formats a duration in days or, if it is not a number of whole days, as Go does.
func span(d time.Duration) string {
	if day := 24 * time.Hour; d >= day && d%day == 0 {
		return plural.Of(int(d/day), "day")
	}
	return d.String()
}

// validTo returns the expiry of a certificate (PEM) in the format of RFC 3339, or "" if it cannot be parsed.
func validTo(text string) string {
	c, _, err := cert.UnmarshalCertificateFromPEM([]byte(text))
	if err != nil {
		return ""
	}
	return c.NotAfter().UTC().Format(time.RFC3339)
}
