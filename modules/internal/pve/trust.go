package pve

import (
	"crypto/hmac"
	"crypto/sha1" // OpenSSH hashes host names with it
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/conffile"
)

// Trust describes what root's SSH knows and accepts on a host.
type Trust struct {
	// PublicKey is the line in /root/.ssh/id_rsa.pub, with which pvecm add --use_ssh logs in; empty if there is none.
	PublicKey string
	// PrivateKey is set if /root/.ssh/id_rsa exists.
	PrivateKey bool
	// Authorized holds the lines of /root/.ssh/authorized_keys without empty lines and comments.
	Authorized []string
	// AuthorizedOpen is set if the file does not end in a newline. AuthorizedEnd is the ending of most of its lines.
	AuthorizedOpen bool
	AuthorizedEnd  string
	// Known is the content of /root/.ssh/known_hosts.
	Known string
	// HostKeys holds the host's public keys, "ssh-ed25519 AAAA…" without comment, sorted.
	HostKeys []string
}

const (
	publicKeyFile  = "/root/.ssh/id_rsa.pub"
	authorizedFile = "/root/.ssh/authorized_keys"
	knownHostsFile = "/root/.ssh/known_hosts"
)

// Trusts observes Trust, under the empty name.
var Trusts = &observe.Kind[Trust]{
	Name: "pve-trust", What: "root's SSH keys",
	Shared: observe.Always,
	Ask: func([]string) []remote.Query {
		return []remote.Query{
			readFile(publicKeyFile), readFile(authorizedFile), readFile(knownHostsFile),
			{Script: `_r=0; for _f in /etc/ssh/ssh_host_*_key.pub; do if [ -f "$_f" ]; then cat -- "$_f" || _r=1; fi; done; [ "$_r" = 0 ]`, Inline: true},
			{Script: `if [ -e /root/.ssh/id_rsa ]; then echo private; fi`, Inline: true},
		}
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, Trust, error)) {
		trust, err := parseTrust(answers)
		for _, name := range names {
			tell(name, trust, err)
		}
	},
}

func parseTrust(answers []remote.Answer) (Trust, error) {
	public, _, err := fileContent(publicKeyFile, answers[0])
	authorized, _, err2 := fileContent(authorizedFile, answers[1])
	known, _, err3 := fileContent(knownHostsFile, answers[2])
	t := Trust{
		PublicKey: strings.TrimSpace(string(public)), Known: string(known),
		PrivateKey:     strings.TrimSpace(string(answers[4].Stdout)) == "private",
		AuthorizedOpen: len(authorized) > 0 && authorized[len(authorized)-1] != '\n',
		AuthorizedEnd:  conffile.LineEnd(string(authorized)),
	}
	for line := range strings.Lines(string(authorized)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") {
			t.Authorized = append(t.Authorized, line)
		}
	}
	for line := range strings.Lines(string(answers[3].Stdout)) {
		if fields := strings.Fields(line); len(fields) >= 2 {
			t.HostKeys = append(t.HostKeys, fields[0]+" "+fields[1])
		}
	}
	slices.Sort(t.HostKeys)
	var err4 error
	if a := answers[3]; a.Exit != 0 {
		err4 = fmt.Errorf("the host's public keys cannot be read: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	return t, errors.Join(err, err2, err3, err4)
}

// KeyOf returns the part of a line of authorized_keys that distinguishes keys: the base64 text. Options and comment do
// not matter. A line without a key stands for itself.
func KeyOf(line string) string {
	fields := strings.Fields(line)
	for i, field := range fields {
		if i > 0 && strings.HasPrefix(field, "AAAA") {
			return field
		}
	}
	return line
}

// Missing returns the lines of wanted whose keys t does not accept, without duplicates.
func (t Trust) Missing(wanted []string) []string {
	have := map[string]bool{}
	for _, line := range t.Authorized {
		have[KeyOf(line)] = true
	}
	var missing []string
	for _, line := range wanted {
		if key := KeyOf(line); line != "" && !have[key] {
			have[key] = true
			missing = append(missing, line)
		}
	}
	return missing
}

// Knowing returns the content of known_hosts in which address has exactly the given host keys: lines that assign
// another key to it are dropped, missing keys are added, and everything else is kept.
func (t Trust) Knowing(address string, keys []string) string {
	return conffile.EditLines(t.Known, func(known string) string { return knowing(known, address, keys) })
}

func knowing(known, address string, keys []string) string {
	missing := slices.Clone(keys)
	var b strings.Builder
	for line := range strings.Lines(known) {
		fields := strings.Fields(line)
		if len(fields) >= 3 && !strings.HasPrefix(line, "@") && !strings.HasPrefix(line, "#") && namesHost(fields[0], address) {
			key := fields[1] + " " + fields[2]
			if !slices.Contains(keys, key) {
				continue
			}
			missing = slices.DeleteFunc(missing, func(k string) bool { return k == key })
		}
		b.WriteString(line)
		if !strings.HasSuffix(line, "\n") {
			b.WriteByte('\n')
		}
	}
	for _, key := range missing {
		b.WriteString(address + " " + key + "\n")
	}
	return b.String()
}

// namesHost reports whether the first field of a known_hosts line, plain or hashed, names a host.
func namesHost(field, address string) bool {
	if hashed, ok := strings.CutPrefix(field, "|1|"); ok {
		salt64, sum64, _ := strings.Cut(hashed, "|")
		salt, err := base64.StdEncoding.DecodeString(salt64)
		if err != nil {
			return false
		}
		mac := hmac.New(sha1.New, salt)
		mac.Write([]byte(address))
		return base64.StdEncoding.EncodeToString(mac.Sum(nil)) == sum64
	}
	return slices.Contains(strings.Split(field, ","), address)
}
