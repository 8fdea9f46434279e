package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"hlplay/engine/localfile"
)

// Secrets remembers the passphrases and passwords that the user has entered during a run. Hosts whose Options share a
// Secrets ask only once. The zero value is ready to use.
type Secrets struct {
	mu      sync.Mutex
	answers map[string]*secret
}

type secret struct {
	turn  chan struct{} // held while asking
	known bool
	value any
	err   error
}

// remember returns the value under a key, calling find once for all callers that want it. If find fails because its
// caller's context has ended, the next caller tries again.
func (s *Secrets) remember(ctx context.Context, key string, find func() (any, error)) (any, error) {
	s.mu.Lock()
	if s.answers == nil {
		s.answers = map[string]*secret{}
	}
	k := s.answers[key]
	if k == nil {
		k = &secret{turn: make(chan struct{}, 1)}
		s.answers[key] = k
	}
	s.mu.Unlock()
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if !k.known {
		value, err := find()
		if err != nil && ctx.Err() != nil {
			return nil, err
		}
		k.value, k.err, k.known = value, err, true
	}
	return k.value, k.err
}

// prompter asks the user for secrets that are not remembered yet.
type prompter struct {
	*Secrets
	question func(ctx context.Context, prompt string) (string, error)
	// answers return what is not asked, by the same keys as ask.
	answers map[string]func() (string, error)
	// waiting and done are called before and after the user may be typing.
	waiting, done func()
}

func (p *prompter) prompt(ctx context.Context, prompt string) (string, error) {
	if p.question == nil {
		return "", errors.New("there is nobody to ask for it")
	}
	return p.question(ctx, prompt)
}

// pause stops the caller's clock and returns a function that restarts it.
func (p *prompter) pause() func() {
	if p.waiting == nil {
		return func() {}
	}
	p.waiting()
	return p.done
}

// The keys of the passwords that are asked for.
const (
	loginPassword = "password"
	sudoPassword  = "sudo"
)

func (o Options) answers() map[string]func() (string, error) {
	return map[string]func() (string, error){loginPassword: o.Password, sudoPassword: o.SudoPassword}
}

// ask asks the user for a password, once, unless it is known from elsewhere.
func (p *prompter) ask(ctx context.Context, key, prompt string) (string, error) {
	defer p.pause()()
	value, err := p.remember(ctx, key, func() (any, error) {
		if answer := p.answers[key]; answer != nil {
			return answer()
		}
		return p.prompt(ctx, prompt)
	})
	if err != nil {
		return "", err
	}
	return value.(string), nil
}

// attempts is how many times the user is asked for a passphrase.
const attempts = 3

// decrypt decrypts a key, asking for its passphrase once.
func (p *prompter) decrypt(ctx context.Context, path string, pem []byte) (ssh.Signer, error) {
	defer p.pause()()
	value, err := p.remember(ctx, "key "+path, func() (any, error) {
		prompt := fmt.Sprintf("passphrase of %s: ", path)
		for range attempts {
			passphrase, err := p.prompt(ctx, prompt)
			if err != nil {
				return nil, fmt.Errorf("key %s is encrypted: %w", path, err)
			}
			signer, err := ssh.ParsePrivateKeyWithPassphrase(pem, []byte(passphrase))
			if err == nil {
				return signer, nil
			}
			prompt = fmt.Sprintf("that is not it; passphrase of %s: ", path)
		}
		return nil, fmt.Errorf("key %s: the passphrase was wrong %d times", path, attempts)
	})
	if err != nil {
		return nil, err
	}
	return value.(ssh.Signer), nil
}

// lockedKey is an encrypted key whose public part is known. It asks for the passphrase only when a host has said that
// it would accept the key.
type lockedKey struct {
	public ssh.PublicKey
	unlock func() (ssh.Signer, error)
}

func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm signs with the algorithm that the host wants. RSA keys have three.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.unlock()
	if err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// defaultKeys are the file names that ssh(1) tries in ~/.ssh.
var defaultKeys = []string{"id_ed25519", "id_ecdsa", "id_rsa"}

// keyring holds the keys for one host, in the order in which they are offered.
type keyring struct {
	signers []ssh.Signer
	// tried names them for the error that none was accepted. problems says which keys could not be used, and why.
	tried, problems []string
	// remarks are about keys that are used nevertheless.
	remarks []string
}

// keyring collects the keys for a host: those configured for it, the agent's, and the default ones if none are
// configured. Each is preceded by its certificates. A key that the agent holds is used through the agent. done closes
// the connection to the agent.
func (e *endpoint) keyring(ctx context.Context, ask *prompter) (k keyring, done func()) {
	done = func() {}
	var held []ssh.Signer
	if e.agent != "" {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "unix", e.agent); err != nil {
			k.problems = append(k.problems, "agent: "+err.Error())
		} else {
			// The dial's context also limits how long the agent may take to answer.
			release := context.AfterFunc(ctx, func() { c.Close() })
			done = func() {
				release()
				c.Close()
			}
			if held, err = agent.NewClient(c).Signers(); err != nil {
				k.problems = append(k.problems, "agent: "+err.Error())
			}
		}
	}
	signed := userCertificates{}
	for _, path := range e.certificates {
		if err := signed.load(path); err != nil {
			k.remarks = append(k.remarks, err.Error())
		}
	}
	used := map[string]bool{}
	add := func(s ssh.Signer, name string) {
		id := string(s.PublicKey().Marshal())
		if used[id] {
			return
		}
		used[id] = true
		for _, c := range signed[id] { // before the bare key, as ssh offers them
			if certified, err := ssh.NewCertSigner(c.Certificate, s); err != nil {
				k.problems = append(k.problems, fmt.Sprintf("certificate %s: %v", c.path, err))
			} else {
				k.signers = append(k.signers, certified)
				k.tried = append(k.tried, c.path)
			}
		}
		k.signers = append(k.signers, s)
		k.tried = append(k.tried, name)
	}
	file := func(path string, wanted bool) {
		signer, err := loadKey(ctx, path, ask)
		switch {
		case err == nil:
			if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
				k.remarks = append(k.remarks, fmt.Sprintf("the private key %s has mode %04o, and others may use it: chmod 600 %s (ssh refuses it)", path, info.Mode().Perm(), path))
			}
			for _, h := range held {
				if string(h.PublicKey().Marshal()) == string(signer.PublicKey().Marshal()) {
					signer = h
				}
			}
			if err := signed.load(path + "-cert.pub"); err != nil && !errors.Is(err, os.ErrNotExist) {
				k.problems = append(k.problems, err.Error())
			}
			add(signer, path)
		case wanted || !errors.Is(err, os.ErrNotExist):
			k.problems = append(k.problems, err.Error())
		}
	}
	for _, path := range e.keys {
		file(path, true)
	}
	if !e.identitiesOnly {
		for _, h := range held {
			add(h, "agent "+ssh.FingerprintSHA256(h.PublicKey()))
		}
	}
	if !e.noDefaults && e.home != "" {
		for _, name := range defaultKeys {
			file(filepath.Join(e.home, ".ssh", name), false)
		}
	}
	return k, done
}

// userCertificate is a certificate for a user's key, with the path of its file.
type userCertificate struct {
	*ssh.Certificate
	path string
}

// userCertificates maps marshalled public keys to their certificates.
type userCertificates map[string][]userCertificate

// load adds the certificate in a file.
func (c userCertificates) load(path string) error {
	text, err := localfile.Read(path, largestKey)
	if err != nil {
		return fmt.Errorf("certificate %s: %w", path, errors.Unwrap(err))
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(text)
	cert, ok := key.(*ssh.Certificate)
	if err != nil || !ok || cert.CertType != ssh.UserCert {
		return fmt.Errorf("certificate %s: it is no certificate of a user's key", path)
	}
	of := string(cert.Key.Marshal())
	same := func(other userCertificate) bool { return string(other.Marshal()) == string(cert.Marshal()) }
	if !slices.ContainsFunc(c[of], same) {
		c[of] = append(c[of], userCertificate{cert, path})
	}
	return nil
}

// largestKey is the size limit of a key file.
const largestKey = 1 << 20

// loadKey reads a private key. The user is asked for the passphrase of an encrypted key when the key is first used, or
// at once if its public part is not known.
func loadKey(ctx context.Context, path string, ask *prompter) (ssh.Signer, error) {
	pem, err := localfile.Read(path, largestKey)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", path, errors.Unwrap(err))
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err == nil {
		return signer, nil
	}
	var locked *ssh.PassphraseMissingError
	if !errors.As(err, &locked) {
		return nil, fmt.Errorf("key %s: it is not a private key that can be read: %w", path, err)
	}
	public := locked.PublicKey
	if public == nil { // the old PEM format keeps it in a separate file
		if text, err := localfile.Read(path+".pub", largestKey); err == nil {
			public, _, _, _, _ = ssh.ParseAuthorizedKey(text)
		}
	}
	if public == nil {
		return ask.decrypt(ctx, path, pem)
	}
	return &lockedKey{public, func() (ssh.Signer, error) { return ask.decrypt(ctx, path, pem) }}, nil
}
