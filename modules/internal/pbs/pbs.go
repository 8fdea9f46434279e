// Package pbs observes Proxmox Backup Server on a host.
package pbs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/pattern"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// Program is the program that manages a server.
const Program = "/usr/sbin/proxmox-backup-manager"

// Server is the configuration of a Proxmox Backup Server.
type Server struct {
	// Datastores, PruneJobs and VerifyJobs hold the properties of each section, as written, by the section's name.
	Datastores, PruneJobs, VerifyJobs map[string]map[string]string
	// Accounts holds the properties of users (pve@pbs) and tokens (pve@pbs!cluster), but not those of root@pam, which always exists.
	Accounts map[string]map[string]string
	// Grants holds the roles that are granted, and whether each also applies below its path.
	Grants map[Grant]bool
	// Fingerprint is the SHA-256 fingerprint of the server's certificate, such as 09:54:ef:…; empty if there is none.
	Fingerprint string
}

// Grant is a role that an account has on a path of the server: /datastore/main.
type Grant struct{ Path, Account, Role string }

const (
	dir             = "/etc/proxmox-backup/"
	datastoreFile   = dir + "datastore.cfg"
	accountFile     = dir + "user.cfg"
	grantFile       = dir + "acl.cfg"
	pruneFile       = dir + "prune.cfg"
	verifyFile      = dir + "verification.cfg"
	certificateFile = dir + "proxy.pem"
)

var files = []string{datastoreFile, accountFile, grantFile, pruneFile, verifyFile, certificateFile}

// Servers observes the server on a host, under the empty name. It reads the server's files, because its commands take
// longer.
var Servers = &observe.Kind[Server]{
	Name: "pbs", What: "the configuration of Proxmox Backup Server",
	Ask: func([]string) []remote.Query {
		return []remote.Query{{Script: `exec grep -aH "" -- "$@"`, Args: files}}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Server, error)) {
		server, err := parse(answers[0])
		for _, name := range names {
			tell(name, server, err)
		}
	},
	Complete: func(expected, found Server) Server {
		if Predicted(expected.Fingerprint) {
			expected.Fingerprint = found.Fingerprint
		}
		return expected
	},
}

// predicted begins the placeholder for the fingerprint of a certificate that does not exist yet.
const predicted = "made-on-"

// Predict returns a placeholder for the fingerprint of a server that is about to be installed on a host. Only check mode
// uses it.
func Predict(host string) string { return predicted + host }

// Predicted reports whether a fingerprint is a placeholder from Predict.
func Predicted(fingerprint string) bool { return strings.HasPrefix(fingerprint, predicted) }

// parse parses the lines of all files, each prefixed with the path of its file. A missing file counts as an empty one.
func parse(a remote.Answer) (Server, error) {
	for line := range strings.Lines(string(a.Stderr)) {
		if !strings.Contains(line, "No such file or directory") {
			return Server{}, fmt.Errorf("reading %s: %s", dir, strings.TrimSpace(line))
		}
	}
	if a.Exit > 2 {
		return Server{}, fmt.Errorf("reading %s: %s", dir, remote.Ending(a.Exit))
	}
	content := map[string][]byte{}
	for line := range bytes.Lines(a.Stdout) {
		name, text, _ := bytes.Cut(line, []byte(":"))
		content[string(name)] = append(content[string(name)], text...)
	}
	var s Server
	for _, part := range []struct {
		file string
		into *map[string]map[string]string
	}{{datastoreFile, &s.Datastores}, {accountFile, &s.Accounts}, {pruneFile, &s.PruneJobs}, {verifyFile, &s.VerifyJobs}} {
		sections, err := pve.ParseSections(content[part.file])
		if err != nil {
			return Server{}, &pve.FileError{Path: part.file, Err: err}
		}
		*part.into = map[string]map[string]string{}
		for _, section := range sections {
			(*part.into)[section.ID] = section.Options
		}
	}
	delete(s.Accounts, "root@pam")
	var err error
	if s.Grants, err = parseGrants(string(content[grantFile])); err != nil {
		return Server{}, &pve.FileError{Path: grantFile, Err: err}
	}
	if cert := content[certificateFile]; len(cert) > 0 {
		block, _ := pem.Decode(cert)
		if block == nil {
			return Server{}, &pve.FileError{Path: certificateFile, Err: errors.New("holds no certificate")}
		}
		sum := sha256.Sum256(block.Bytes)
		s.Fingerprint = strings.ReplaceAll(fmt.Sprintf("% x", sum), " ", ":")
	}
	return s, nil
}

// parseGrants parses acl.cfg: lines of "acl:PROPAGATE:PATH:ACCOUNTS:ROLES", with commas between several accounts or roles.
func parseGrants(text string) (map[Grant]bool, error) {
	grants := map[Grant]bool{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		f := strings.Split(line, ":")
		if len(f) != 5 || f[0] != "acl" {
			return nil, fmt.Errorf("line %d: %q is not an access control entry", number, line)
		}
		for account := range strings.SplitSeq(f[3], ",") {
			for role := range strings.SplitSeq(f[4], ",") {
				grants[Grant{f[2], strings.TrimSpace(account), strings.TrimSpace(role)}] = f[1] == "1"
			}
		}
	}
	return grants, nil
}

// Clone returns a copy whose maps can be changed. The properties of a section are still shared.
func (s Server) Clone() Server {
	s.Datastores, s.PruneJobs, s.VerifyJobs = clone(s.Datastores), clone(s.PruneJobs), clone(s.VerifyJobs)
	s.Accounts, s.Grants = clone(s.Accounts), clone(s.Grants)
	return s
}

func clone[K comparable, V any](m map[K]V) map[K]V {
	m = maps.Clone(m)
	if m == nil {
		m = map[K]V{}
	}
	return m
}

// SecretDir is where hlplay keeps the secrets of the tokens that it has generated. It is not in the server's own
// directory, because that belongs to another user than root.
const SecretDir = "/etc/hlplay/pbs-tokens"

const (
	userForm  = `[A-Za-z0-9_][A-Za-z0-9._-]*@[A-Za-z0-9_][A-Za-z0-9._-]{2,31}`
	tokenForm = `[A-Za-z0-9_][A-Za-z0-9._-]*`
)

// UserID matches the id of a user (pve@pbs), TokenName the name of a token (cluster), and TokenID the whole id of a token
// (pve@pbs!cluster).
var (
	UserID    = pattern.New(`^` + userForm + `$`)
	TokenName = pattern.New(`^` + tokenForm + `$`)
	TokenID   = pattern.New(`^` + userForm + `!` + tokenForm + `$`)
)

// SecretFile returns the path of the file with the output of generating a token.
func SecretFile(token string) string { return SecretDir + "/" + token }

// ErrNoSecret means that the secret of a token is not stored on the host.
var ErrNoSecret = errors.New("its secret is not stored on the host")

// Secret reads the secret of a token on the server's host.
func Secret(ctx context.Context, h *observe.Host, token string) (string, error) {
	name := SecretFile(token)
	f, err := observe.Files.Observe(ctx, h, name)
	switch {
	case err != nil:
		return "", err
	case !f.Exists():
		return "", fmt.Errorf("token %s of %s: %w: there is no %s", token, h.Name(), ErrNoSecret, name)
	case f.Type != observe.Regular || f.Owner != "root" || f.Mode&0o077 != 0:
		return "", fmt.Errorf("%s on %s is a %s with mode %04o and owner %s, expected a regular file that only root can read: others may know the secret; find out who changed it, and generate a new token",
			name, h.Name(), f.Type, f.Mode, f.Owner)
	}
	var printed struct {
		TokenID string `json:"tokenid"`
		Value   string `json:"value"`
	}
	text := bytes.TrimPrefix(bytes.TrimSpace(f.Content), []byte("Result:"))
	if err := json.Unmarshal(text, &printed); err != nil || printed.TokenID != token || printed.Value == "" {
		return "", fmt.Errorf("%s on %s is not in the format that proxmox-backup-manager prints for token %s: remove the file and the token (proxmox-backup-manager user delete-token), so that a new one is generated", name, h.Name(), token)
	}
	return printed.Value, nil
}
