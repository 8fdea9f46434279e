package remote

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"hlplay/engine/localfile"
	"hlplay/engine/sshconfig"
)

// The markers of known_hosts; see sshd(8).
const (
	authority = "@cert-authority"
	revoked   = "@revoked"
)

// largestKnownHosts is the size limit of a known_hosts file.
const largestKnownHosts = 64 << 20

// knownLine is a line of a known_hosts file.
type knownLine struct {
	place  sshconfig.Place
	marker string
	// hosts is a comma-separated list of patterns, or one hashed name.
	hosts string
	// key is nil if the line may revoke a key that cannot be parsed.
	key ssh.PublicKey
}

// knownKeys holds the lines of known_hosts files.
type knownKeys struct {
	lines []knownLine
	// notes say which lines are ignored.
	notes []string
}

// parse parses the text of a file. As in ssh, a line that cannot be parsed is ignored, unless it may revoke a key:
// because that key is not known, no host that the line names is trusted.
func (k *knownKeys) parse(file string, text []byte) {
	var first string
	skipped := 0
	number := 0
	for src := range bytes.SplitSeq(text, []byte("\n")) {
		number++
		fields := strings.Fields(string(src))
		if len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		l, err := parseKnownLine(fields)
		l.place = sshconfig.Place{File: file, Line: number}
		switch {
		case errors.Is(err, errForeignKey):
		case err == nil:
			k.lines = append(k.lines, l)
		default:
			if l.marker != "" && l.marker != authority {
				l.key = nil
				k.lines = append(k.lines, l)
			}
			if skipped++; skipped == 1 {
				first = fmt.Sprintf("%s is skipped: %v", l.place, err)
			}
		}
	}
	if skipped > 1 {
		first += fmt.Sprintf(" (and %d more lines of this file)", skipped-1)
	}
	if skipped > 0 {
		k.notes = append(k.notes, first)
	}
}

// errForeignKey reports a type of key that hlplay does not support for connections.
var errForeignKey = errors.New("a kind of key that hlplay does not know")

// parseKnownLine parses the fields of a line. After an error, l has the marker and hosts that were parsed before it.
func parseKnownLine(fields []string) (l knownLine, err error) {
	if strings.HasPrefix(fields[0], "@") {
		l.marker, fields = fields[0], fields[1:]
		if l.marker != authority && l.marker != revoked {
			l.hosts = "*"
			return l, fmt.Errorf("the marker %s is not known", l.marker)
		}
	}
	if len(fields) > 0 {
		l.hosts = fields[0]
	}
	if l.hosts == "" || l.hosts[0] == '@' {
		l.hosts = "*"
		return l, errors.New("it names no host")
	}
	if l.hosts[0] == '|' {
		if _, _, err := hashed(l.hosts); err != nil {
			l.hosts = "*"
			return l, err
		}
	}
	if len(fields) < 3 {
		return l, errors.New("it has no key: expected HOSTS, the kind of the key, and the key")
	}
	blob, err := base64.StdEncoding.DecodeString(fields[2])
	if err != nil {
		return l, errors.New("its key is not Base64")
	}
	if kind, ok := keyKind(blob); !ok || kind != fields[1] {
		return l, fmt.Errorf("what is said to be a key of kind %s is none", fields[1])
	}
	if l.key, err = ssh.ParsePublicKey(blob); err != nil {
		if strings.Contains(err.Error(), "unknown key algorithm") {
			return l, errForeignKey
		}
		return l, fmt.Errorf("its key cannot be read: %w", err)
	}
	return l, nil
}

// keyKind returns the type of key that a blob claims to be.
func keyKind(blob []byte) (string, bool) {
	if len(blob) < 4 {
		return "", false
	}
	n := binary.BigEndian.Uint32(blob)
	if uint64(n) > uint64(len(blob)-4) {
		return "", false
	}
	return string(blob[4 : 4+n]), true
}

// hashed splits "|1|salt|hash".
func hashed(hosts string) (salt, sum []byte, err error) {
	parts := strings.Split(hosts, "|")
	if len(parts) == 4 && parts[1] == "1" {
		var bad error
		if salt, bad = base64.StdEncoding.DecodeString(parts[2]); bad == nil {
			if sum, bad = base64.StdEncoding.DecodeString(parts[3]); bad == nil && len(sum) == sha1.Size {
				return salt, sum, nil
			}
		}
	}
	return nil, nil, errors.New("its hashed name is not of the form |1|SALT|HASH")
}

// names reports whether the line is about a host of this name.
func (l knownLine) names(host string) bool {
	if !strings.HasPrefix(l.hosts, "|") {
		return sshconfig.Matches(l.hosts, host)
	}
	salt, sum, err := hashed(l.hosts)
	if err != nil {
		return false
	}
	mac := hmac.New(sha1.New, salt)
	mac.Write([]byte(host))
	return hmac.Equal(mac.Sum(nil), sum)
}

// of returns the lines about a host.
func (k *knownKeys) of(host string) []knownLine {
	var found []knownLine
	for _, l := range k.lines {
		if l.marker != revoked && l.key != nil && l.names(host) {
			found = append(found, l)
		}
	}
	return found
}

// revokes returns the line that revokes one of the keys, or may revoke it: it names the host, and its key cannot be
// parsed. A key that is revoked for one host is trusted for none.
func (k *knownKeys) revokes(host string, keys ...ssh.PublicKey) (knownLine, bool) {
	for _, l := range k.lines {
		switch {
		case l.marker == "" || l.marker == authority:
		case l.key == nil:
			if l.names(host) {
				return l, true
			}
		case slices.ContainsFunc(keys, func(key ssh.PublicKey) bool { return sameKey(l.key, key) }):
			return l, true
		}
	}
	return knownLine{}, false
}

func sameKey(a, b ssh.PublicKey) bool { return bytes.Equal(a.Marshal(), b.Marshal()) }

// algorithms returns the host key algorithms for lines about a host: certificates if there is an authority for it, then those
// of its known keys or, if no key is known, all.
func algorithms(lines []knownLine) []string {
	var certified, known []string
	for _, l := range lines {
		if l.marker == authority { // whatever the type of its key, it may certify keys of any type
			certified = certificates
			continue
		}
		types := []string{l.key.Type()}
		if types[0] == ssh.KeyAlgoRSA { // one type of key, three algorithms
			types = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256, ssh.KeyAlgoRSA}
		}
		for _, name := range types {
			if !slices.Contains(known, name) {
				known = append(known, name)
			}
		}
	}
	if len(known) == 0 {
		known = anyKey
	}
	return slices.Concat(certified, known)
}

// anyKey are the algorithms for a host without a known key, beginning with the one whose fingerprint people usually compare, and
// certificates those of host certificates.
var (
	anyKey = []string{ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
	certificates = []string{ssh.CertAlgoED25519v01, ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoRSASHA512v01, ssh.CertAlgoRSASHA256v01}
)

// readOnce caches known_hosts files until they change. Otherwise each of a thousand hosts would read, and keep, the
// lines of all thousand.
type readOnce struct {
	mu   sync.Mutex
	read map[string]readFiles // by the names of the files
}

type readFiles struct {
	infos []os.FileInfo
	keys  *knownKeys
}

var knownHosts = &readOnce{read: map[string]readFiles{}}

// load reads those files that exist.
func (k *readOnce) load(files []string) (*knownKeys, error) {
	var there []string
	var infos []os.FileInfo
	for _, f := range files {
		if f == os.DevNull { // the usual way to specify no file
			continue
		}
		if info, err := os.Stat(f); err == nil {
			there, infos = append(there, f), append(infos, info)
		} else if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("known_hosts: %w", err)
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	name := strings.Join(there, "\x00")
	same := func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	}
	if known, ok := k.read[name]; ok && slices.EqualFunc(known.infos, infos, same) {
		return known.keys, nil
	}
	keys := &knownKeys{}
	for _, f := range there {
		text, err := localfile.Read(f, largestKnownHosts)
		if err != nil {
			return nil, fmt.Errorf("known_hosts: %w", err)
		}
		keys.parse(f, text)
	}
	k.read[name] = readFiles{infos, keys}
	return keys, nil
}
