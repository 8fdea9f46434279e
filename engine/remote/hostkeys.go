package remote

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// HostKeyPolicy says what is done about a host whose key is in no known_hosts file. A key that
// differs from the one that is there is refused under every policy.
type HostKeyPolicy int

const (
	// Verify refuses a host that is not known. The default.
	Verify HostKeyPolicy = iota
	// AcceptNew adds the key of a host that is not known to the first known_hosts file.
	AcceptNew
)

// hostKeys is the known_hosts files of one host.
type hostKeys struct {
	files  []string
	policy HostKeyPolicy
	db     *knownhosts.HostKeyDB
}

func loadHostKeys(files []string, policy HostKeyPolicy) (*hostKeys, error) {
	var there []string
	var infos []os.FileInfo
	for _, f := range files {
		if info, err := os.Stat(f); err == nil {
			there, infos = append(there, f), append(infos, info)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("known_hosts: %w", err)
		}
	}
	db, err := knownHosts.load(there, infos)
	if err != nil {
		return nil, fmt.Errorf("known_hosts: %w", err)
	}
	return &hostKeys{files, policy, db}, nil
}

// readOnce keeps what was read from known_hosts files as long as they do not change: a thousand hosts have a
// thousand lines, which each of them would otherwise read, and hold on to.
type readOnce struct {
	mu   sync.Mutex
	read map[string]readFiles // by the files' names
}

type readFiles struct {
	infos []os.FileInfo
	db    *knownhosts.HostKeyDB
}

var knownHosts = &readOnce{read: map[string]readFiles{}}

func (k *readOnce) load(files []string, infos []os.FileInfo) (*knownhosts.HostKeyDB, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	name := strings.Join(files, "\x00")
	same := func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	}
	if known, ok := k.read[name]; ok && slices.EqualFunc(known.infos, infos, same) {
		return known.db, nil
	}
	db, err := knownhosts.NewDB(files...)
	if err == nil {
		k.read[name] = readFiles{infos, db}
	}
	return db, err
}

// hostKeyError is a host key that is not trusted.
type hostKeyError struct{ reason, hint string }

func (e *hostKeyError) Error() string { return e.reason }

// check is an ssh.HostKeyCallback. address is "host:port".
func (k *hostKeys) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := k.db.HostKeyCallback()(address, remote, key)
	if err == nil {
		return nil
	}
	name := knownhosts.Normalize(address)
	offered := key.Type() + " " + ssh.FingerprintSHA256(key)
	var revoked *xknownhosts.RevokedError
	if errors.As(err, &revoked) {
		return &hostKeyError{
			fmt.Sprintf("the host's key %s is marked as revoked at %s:%d", offered, revoked.Revoked.Filename, revoked.Revoked.Line),
			"do not connect; give the host a new key",
		}
	}
	var bad *xknownhosts.KeyError
	if !errors.As(err, &bad) {
		return &hostKeyError{"the host's key cannot be verified: " + err.Error(), ""}
	}
	if len(bad.Want) > 0 {
		known := bad.Want[0]
		for _, w := range bad.Want {
			if w.Key.Type() == key.Type() {
				known = w
			}
		}
		return &hostKeyError{
			fmt.Sprintf("the host key has changed: %s:%d has %s %s, the host shows %s", known.Filename, known.Line,
				known.Key.Type(), ssh.FingerprintSHA256(known.Key), offered),
			fmt.Sprintf("somebody may be listening in; if the host was reinstalled, compare the fingerprint on its console, "+
				"then remove the old key with: ssh-keygen -f %s -R '%s'", known.Filename, name),
		}
	}
	if k.policy == AcceptNew {
		return k.add(name, key)
	}
	return &hostKeyError{
		fmt.Sprintf("the host key is not known: %s is not in %s, the host shows %s", name, strings.Join(k.files, " or "), offered),
		"compare the fingerprint on the host's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), " +
			"then connect once with ssh, or let hlplay accept new host keys",
	}
}

// add appends a host's key in one write, so that hosts added at the same time do not mix.
func (k *hostKeys) add(name string, key ssh.PublicKey) error {
	if len(k.files) == 0 {
		return &hostKeyError{"there is no known_hosts file to add the host key to", "name one, or set HOME"}
	}
	path := k.files[0]
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("known_hosts: %w", err)
	}
	line := knownhosts.Line([]string{name}, key) + "\n"
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
