package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyPolicy says what to do about a host whose key is not in any known_hosts file. A key that differs from the
// known one is always refused.
type HostKeyPolicy int

const (
	// Verify refuses unknown hosts. It is the default.
	Verify HostKeyPolicy = iota
	// AcceptNew adds the key of an unknown host to the first known_hosts file.
	AcceptNew
)

// hostKeys holds what the known_hosts files say about one host.
type hostKeys struct {
	// name is the host's name in the files. plain, if the port is not the default, is the name without port, under
	// which ssh accepts a key too.
	name, plain string
	files       []string
	// added is the file to which new keys are added, or empty.
	added  string
	policy HostKeyPolicy
	known  *knownKeys
}

// loadHostKeys reads the known keys of an endpoint.
func (e *endpoint) loadHostKeys(policy HostKeyPolicy) (*hostKeys, error) {
	known, err := knownHosts.load(e.knownHosts)
	if err != nil {
		return nil, err
	}
	if e.acceptNew {
		policy = AcceptNew
	}
	k := &hostKeys{name: e.keyName, files: e.knownHosts, added: e.newKeys, policy: policy, known: known}
	if k.name == "" {
		k.name = strings.ToLower(knownhosts.Normalize(e.address()))
		if e.port != 22 {
			k.plain = strings.ToLower(e.host)
		}
	}
	return k, nil
}

// lines returns the lines about the host. Keys under the name without the port count only if there are none under the
// name with it.
func (k *hostKeys) lines() []knownLine {
	lines := k.known.of(k.name)
	if k.plain == "" {
		return lines
	}
	plain := k.known.of(k.plain)
	if slices.ContainsFunc(lines, func(l knownLine) bool { return l.marker == "" }) {
		plain = slices.DeleteFunc(plain, func(l knownLine) bool { return l.marker == "" })
	}
	return append(lines, plain...)
}

// hostKeyError reports a host key that is not trusted.
type hostKeyError struct{ reason, hint string }

func (e *hostKeyError) Error() string { return e.reason }

// check implements ssh.HostKeyCallback.
func (k *hostKeys) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	offered := key.Type() + " " + ssh.FingerprintSHA256(key)
	keys := []ssh.PublicKey{key}
	if cert, ok := key.(*ssh.Certificate); ok {
		keys = append(keys, cert.Key, cert.SignatureKey)
	}
	if l, ok := k.known.revokes(k.name, keys...); ok && l.key == nil {
		return &hostKeyError{
			fmt.Sprintf("%s may revoke the host's key %s, and cannot be read", l.place, offered),
			"write the line anew (@revoked HOSTS KIND KEY), or take it out if it revokes nothing",
		}
	} else if ok {
		return &hostKeyError{
			fmt.Sprintf("the host's key %s is marked as revoked at %s", offered, l.place),
			"do not connect; give the host a new key",
		}
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return k.plainKey(key, offered)
	}
	unaccepted := k.certificate(remote, cert)
	if unaccepted == nil {
		return nil
	}
	// As in ssh, the key in a certificate that is not accepted may be known itself.
	err := k.plainKey(cert.Key, cert.Key.Type()+" "+ssh.FingerprintSHA256(cert.Key))
	var known *hostKeyError
	if errors.As(err, &known) {
		known.reason += "; its certificate is not accepted: " + strings.TrimPrefix(unaccepted.Error(), "ssh: ")
	}
	return err
}

// certificate checks a certificate: an authority for the host has signed it, and it is valid for the host.
func (k *hostKeys) certificate(remote net.Addr, cert *ssh.Certificate) error {
	authorities := k.known.of(k.name)
	if k.plain != "" {
		authorities = append(authorities, k.known.of(k.plain)...)
	}
	checker := ssh.CertChecker{IsHostAuthority: func(signer ssh.PublicKey, _ string) bool {
		return slices.ContainsFunc(authorities, func(l knownLine) bool { return l.marker == authority && sameKey(l.key, signer) })
	}}
	host, _, err := net.SplitHostPort(k.name)
	if err != nil {
		host = k.name
	}
	return checker.CheckHostKey(net.JoinHostPort(host, "22"), remote, cert)
}

// plainKey checks a key without a certificate.
func (k *hostKeys) plainKey(key ssh.PublicKey, offered string) error {
	has := func(l knownLine) bool { return l.marker == "" && sameKey(l.key, key) }
	lines := slices.DeleteFunc(k.known.of(k.name), func(l knownLine) bool { return l.marker != "" })
	if slices.ContainsFunc(lines, has) {
		return nil
	}
	if len(lines) > 0 {
		known := lines[0]
		for _, l := range lines {
			if l.key.Type() == key.Type() {
				known = l
			}
		}
		return changed(known, k.name, "the host shows "+offered)
	}
	if k.plain != "" && slices.ContainsFunc(k.known.of(k.plain), has) {
		return nil
	}
	name := k.name
	if k.policy == AcceptNew {
		return k.add(name, key)
	}
	return &hostKeyError{
		fmt.Sprintf("the host key is not known: %s is not in %s, the host shows %s", name, strings.Join(k.files, " or "), offered),
		"compare the fingerprint on the host's console (ssh-keygen -lf " + hostKeyFile(key) + "), " +
			"then connect once with ssh, or give --accept-new-host-keys",
	}
}

// changed reports that a host does not have the key of a line.
func changed(known knownLine, name, is string) *hostKeyError {
	return &hostKeyError{
		fmt.Sprintf("the host key has changed: %s has %s %s, %s", known.place, known.key.Type(), ssh.FingerprintSHA256(known.key), is),
		fmt.Sprintf("somebody may be listening in; if the host was reinstalled, compare the fingerprint on its console, "+
			"then remove the old key with: ssh-keygen -f %s -R '%s'", known.place.File, name),
	}
}

// without returns the error of a handshake, as a changed key if the host has no key of a type that is known.
func (k *hostKeys) without(err error) error {
	_, offers, ok := strings.Cut(err.Error(), "no common algorithm for host key")
	lines := slices.DeleteFunc(k.known.of(k.name), func(l knownLine) bool { return l.marker != "" })
	if !ok || len(lines) == 0 {
		return err
	}
	_, offers, _ = strings.Cut(offers, "peer offered: ")
	return changed(lines[0], k.name, "the host has no key of this type, only "+strings.NewReplacer("[", "", "]", "", `"`, "").Replace(offers))
}

// hostKeyFile returns the path where Debian's sshd keeps its public key of this type.
func hostKeyFile(key ssh.PublicKey) string {
	kind := "*"
	switch t := key.Type(); {
	case t == ssh.KeyAlgoED25519:
		kind = "ed25519"
	case t == ssh.KeyAlgoRSA:
		kind = "rsa"
	case strings.HasPrefix(t, "ecdsa-sha2-"):
		kind = "ecdsa"
	}
	return "/etc/ssh/ssh_host_" + kind + "_key.pub"
}

// algorithms returns the algorithms to ask the host for. A key under the name without the port may be that of another host, so
// that one of another type is asked for too.
func (k *hostKeys) algorithms() []string {
	all := algorithms(k.lines())
	if slices.ContainsFunc(k.known.of(k.name), func(l knownLine) bool { return l.marker == "" }) {
		return all
	}
	return append(all, slices.DeleteFunc(slices.Clone(anyKey), func(name string) bool { return slices.Contains(all, name) })...)
}

// add appends a host's key with a single write, so that concurrent additions do not mix.
func (k *hostKeys) add(name string, key ssh.PublicKey) error {
	if k.added == "" {
		return &hostKeyError{"there is no known_hosts file to add the host key to", "name one, or set HOME"}
	}
	path := k.added
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	line := name + " " + string(ssh.MarshalAuthorizedKey(key))
	if info, err := f.Stat(); err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	_, err = f.WriteString(line)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	return nil
}
