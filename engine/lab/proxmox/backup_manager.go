package proxmox

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/afero"

	"hlplay/engine/lab/machine"
)

// There are no recordings of proxmox-backup-manager. Its behaviour and output follow the source of Proxmox Backup
// Server 3.2.4 (commit 4940514b: src/bin/proxmox_backup_manager, src/api2/config, src/api2/access, pbs-config) and its
// documentation.

// The files of Proxmox Backup Server. They belong to backupID, Debian's user and group "backup".
const (
	backupDir        = "/etc/proxmox-backup/"
	backupStores     = backupDir + "datastore.cfg"
	backupAccounts   = backupDir + "user.cfg"
	backupACL        = backupDir + "acl.cfg"
	backupPrune      = backupDir + "prune.cfg"
	backupVerify     = backupDir + "verification.cfg"
	backupShadow     = backupDir + "token.shadow"
	backupCert       = backupDir + "proxy.pem"
	backupID         = 34
	chunkDirectories = 4 // a real one has 65,536
)

// backupSetup does what the services do when they are first started.
func backupSetup(m *machine.Machine) error {
	fs := m.FS()
	if _, err := fs.Stat(backupCert); err == nil {
		return nil
	}
	if err := fs.MkdirAll(backupDir, 0o700); err != nil {
		return err
	}
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // never fails with this curve
	now := m.Clock().Now()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{Organization: []string{"Proxmox Backup Server"}, CommonName: m.FQDN()},
		NotBefore: now.Add(-labAhead), NotAfter: now.AddDate(10, 0, 0), DNSNames: []string{"localhost", m.Name()}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	if err := afero.WriteFile(fs, backupCert, pemBlock("CERTIFICATE", der), 0o640); err != nil {
		return err
	}
	return fs.Chown(strings.TrimSuffix(backupDir, "/"), backupID, backupID)
}

// backupCall is one call of proxmox-backup-manager.
type backupCall struct {
	*machine.Call
	fs afero.Fs
	// args are the operands after the words of the command.
	args    []string
	options map[string][]string
}

func (c *backupCall) fail(format string, args ...any) int {
	fmt.Fprintf(c.Stderr, "Error: "+format+"\n", args...)
	return 255
}

func (c *backupCall) option(name string) string {
	if all := c.options[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// backupOptions are the simulated commands with their operands and options.
var backupOptions = map[string]struct {
	args, options []string
	run           func(c *backupCall) int
}{
	"datastore create":    {[]string{"name", "path"}, []string{"comment", "gc-schedule", "verify-new", "notification-mode", "tuning"}, (*backupCall).createStore},
	"datastore update":    {[]string{"name"}, []string{"comment", "gc-schedule", "verify-new", "notification-mode", "tuning", "delete"}, update(backupStores, "datastore")},
	"user create":         {[]string{"userid"}, []string{"comment", "email", "enable", "expire", "firstname", "lastname"}, (*backupCall).createUser},
	"user generate-token": {[]string{"userid", "token-name"}, []string{"comment", "enable", "expire"}, (*backupCall).generateToken},
	"user delete-token":   {[]string{"userid", "token-name"}, nil, (*backupCall).deleteToken},
	"acl update":          {[]string{"path", "role"}, []string{"auth-id", "propagate", "delete"}, (*backupCall).updateACL},
	"prune-job create":    {[]string{"id"}, pruneOptions, create(backupPrune, "prune")},
	"prune-job update":    {[]string{"id"}, append(slices.Clip(pruneOptions), "delete"), update(backupPrune, "prune")},
	"prune-job remove":    {[]string{"id"}, nil, remove(backupPrune, "prune")},
	"verify-job create":   {[]string{"id"}, verifyOptions, create(backupVerify, "verification")},
	"verify-job update":   {[]string{"id"}, append(slices.Clip(verifyOptions), "delete"), update(backupVerify, "verification")},
	"verify-job remove":   {[]string{"id"}, nil, remove(backupVerify, "verification")},
}

var (
	pruneOptions  = []string{"store", "schedule", "comment", "disable", "ns", "max-depth", "keep-last", "keep-hourly", "keep-daily", "keep-weekly", "keep-monthly", "keep-yearly"}
	verifyOptions = []string{"store", "schedule", "comment", "ns", "max-depth", "ignore-verified", "outdated-after"}
)

// backupManager implements proxmox-backup-manager(1).
func backupManager(_ context.Context, call *machine.Call) int {
	c := &backupCall{Call: call, fs: call.FS(), options: map[string][]string{}}
	words := call.Argv[1:]
	if call.User != "root" {
		return c.fail("this command of proxmox-backup-manager is simulated for root alone")
	}
	if len(words) < 2 {
		return c.fail("no command specified.")
	}
	command, known := backupOptions[words[0]+" "+words[1]]
	if !known {
		return c.fail("%s %s of proxmox-backup-manager is not simulated", words[0], words[1])
	}
	for rest := words[2:]; len(rest) > 0; rest = rest[1:] {
		name, isOption := strings.CutPrefix(rest[0], "--")
		if !isOption {
			c.args = append(c.args, rest[0])
			continue
		}
		name, value, given := strings.Cut(name, "=")
		if !slices.Contains(command.options, name) {
			return c.fail("parameter verification failed - '%s': schema does not allow additional properties.", name)
		}
		if !given {
			if len(rest) < 2 {
				return c.fail("parameter verification failed - '%s': missing parameter value.", name)
			}
			value, rest = rest[1], rest[1:]
		}
		c.options[name] = append(c.options[name], value)
	}
	if len(c.args) < len(command.args) {
		return c.fail("parameter verification failed - '%s': parameter is missing and it is not optional.", command.args[len(c.args)])
	}
	if len(c.args) > len(command.args) {
		return c.fail("got additional arguments: %q", c.args[len(command.args):])
	}
	return command.run(c)
}

// sections reads a file of the server.
func (c *backupCall) sections(file string) []Section {
	text, err := afero.ReadFile(c.fs, file)
	if err != nil {
		return nil
	}
	return ParseSections(string(text))
}

// save writes a file as the server does: sections in order, properties sorted by name.
func (c *backupCall) save(file string, all []Section) int {
	var b strings.Builder
	for i, s := range all {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "%s: %s\n", s.Type, s.ID)
		for _, key := range sortedKeys(s.Keys) {
			fmt.Fprintf(&b, "\t%s %s\n", key, s.Keys[key])
		}
	}
	return c.write(file, b.String())
}

func (c *backupCall) write(file, text string) int {
	if err := afero.WriteFile(c.fs, file, []byte(text), 0o640); err != nil {
		return c.fail("%v", err)
	}
	if err := c.fs.Chown(file, 0, backupID); err != nil {
		return c.fail("%v", err)
	}
	return 0
}

// set stores the options as properties of a section, and deletes the properties that --delete names.
func (c *backupCall) set(keys map[string]string) {
	for name := range c.options {
		if name != "delete" {
			keys[name] = c.option(name)
		}
	}
	for _, name := range c.options["delete"] {
		delete(keys, name)
	}
}

func create(file, kind string) func(c *backupCall) int {
	return func(c *backupCall) int {
		all := c.sections(file)
		if section(all, c.args[0]) >= 0 {
			return c.fail("parameter verification failed - 'id': job '%s' already exists.", c.args[0])
		}
		for _, needed := range []string{"store", "schedule"} {
			if c.option(needed) == "" && (kind == "prune" || needed == "store") {
				return c.fail("parameter verification failed - '%s': parameter is missing and it is not optional.", needed)
			}
		}
		s := Section{Type: kind, ID: c.args[0], Keys: map[string]string{}}
		c.set(s.Keys)
		return c.save(file, append(all, s))
	}
}

func update(file, kind string) func(c *backupCall) int {
	return func(c *backupCall) int {
		all := c.sections(file)
		i := section(all, c.args[0])
		if i < 0 {
			return c.fail("no such %s '%s'", kind, c.args[0])
		}
		c.set(all[i].Keys)
		return c.save(file, all)
	}
}

func remove(file, kind string) func(c *backupCall) int {
	return func(c *backupCall) int {
		all := c.sections(file)
		i := section(all, c.args[0])
		if i < 0 {
			return c.fail("no such %s '%s'", kind, c.args[0])
		}
		return c.save(file, slices.Delete(all, i, i+1))
	}
}

// createStore creates a datastore through the daemon, which makes the directories.
func (c *backupCall) createStore() int {
	if !c.Machine.Units().Active("proxmox-backup-proxy") || !c.Machine.Units().Active("proxmox-backup") {
		return c.fail("error trying to connect: error connecting to https://localhost:8007/ - tcp connect error: Connection refused (os error 111)")
	}
	name, dir := c.args[0], c.args[1]
	all := c.sections(backupStores)
	if section(all, name) >= 0 {
		return c.fail("parameter verification failed - 'name': datastore '%s' already exists.", name)
	}
	if !path.IsAbs(dir) {
		return c.fail("task failed (status expected absolute path - got %q)", dir)
	}
	if err := c.fs.MkdirAll(dir, 0o755); err != nil {
		return c.fail("task failed (status unable to create chunk store '%s' at %q - %v)", name, dir, err)
	}
	chunks := path.Join(dir, ".chunks")
	if err := c.fs.Mkdir(chunks, 0o755); err != nil {
		return c.fail("task failed (status unable to create chunk store '%s' subdir %q - EEXIST: File exists)", name, chunks)
	}
	made := []string{dir, chunks, path.Join(dir, ".lock")}
	if err := afero.WriteFile(c.fs, made[2], nil, 0o644); err != nil {
		return c.fail("%v", err)
	}
	for i := range chunkDirectories {
		made = append(made, fmt.Sprintf("%s/%04x", chunks, i))
		if err := c.fs.Mkdir(made[len(made)-1], 0o755); err != nil {
			return c.fail("%v", err)
		}
	}
	for _, name := range made {
		if err := c.fs.Chown(name, backupID, backupID); err != nil {
			return c.fail("%v", err)
		}
	}
	for percent := 1; percent < 100; percent++ {
		fmt.Fprintf(c.Stdout, "Chunkstore create: %d%%\n", percent)
	}
	if !c.Spend(10 * time.Second) {
		return 255
	}
	s := Section{Type: "datastore", ID: name, Keys: map[string]string{"path": dir}}
	c.set(s.Keys)
	if code := c.save(backupStores, append(all, s)); code != 0 {
		return code
	}
	fmt.Fprintln(c.Stdout, "TASK OK")
	return 0
}

// accounts returns the users and tokens. root@pam is stored like the others.
func (c *backupCall) accounts() []Section {
	all := c.sections(backupAccounts)
	if section(all, "root@pam") < 0 {
		all = append(all, Section{Type: "user", ID: "root@pam", Keys: map[string]string{"comment": "Superuser"}})
	}
	return all
}

func (c *backupCall) createUser() int {
	all, user := c.accounts(), c.args[0]
	if section(all, user) >= 0 {
		return c.fail("user '%s' already exists.", user)
	}
	if _, realm, _ := strings.Cut(user, "@"); realm != "pbs" && realm != "pam" {
		return c.fail("unknown realm '%s'", realm)
	}
	s := Section{Type: "user", ID: user, Keys: map[string]string{}}
	c.set(s.Keys)
	return c.save(backupAccounts, append(all, s))
}

func (c *backupCall) generateToken() int {
	all, token := c.accounts(), c.args[0]+"!"+c.args[1]
	if section(all, token) >= 0 {
		return c.fail("token '%s' for user '%s' already exists.", c.args[1], c.args[0])
	}
	b := randomBytes(16)
	secret := fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	sum := sha256.Sum256([]byte(secret)) // the real one stores a salted crypt(3) hash
	shadow, err := afero.ReadFile(c.fs, backupShadow)
	if err != nil {
		shadow = []byte("{}")
	}
	entry := fmt.Sprintf("%q:%q}", token, fmt.Sprintf("%x", sum))
	if text := strings.TrimSuffix(string(shadow), "}"); text == "{" {
		entry = "{" + entry
	} else {
		entry = text + "," + entry
	}
	if code := c.write(backupShadow, entry); code != 0 {
		return code
	}
	s := Section{Type: "token", ID: token, Keys: map[string]string{}}
	c.set(s.Keys)
	if code := c.save(backupAccounts, append(all, s)); code != 0 {
		return code
	}
	fmt.Fprintf(c.Stdout, "Result: {\n  \"tokenid\": %q,\n  \"value\": %q\n}\n", token, secret)
	return 0
}

func (c *backupCall) deleteToken() int {
	all := c.accounts()
	i := section(all, c.args[0]+"!"+c.args[1])
	if i < 0 {
		return c.fail("token '%s' of user '%s' does not exist.", c.args[1], c.args[0])
	}
	return c.save(backupAccounts, slices.Delete(all, i, i+1))
}

// updateACL changes acl.cfg. The server joins entries for the same path in one line; this writes one line for each,
// which the server reads as well.
func (c *backupCall) updateACL() int {
	account := c.option("auth-id")
	gone := truth(c.option("delete"))
	switch {
	case account == "":
		return c.fail("missing 'userid' or 'group' parameter.")
	case !gone && section(c.accounts(), account) < 0 && strings.Contains(account, "!"):
		return c.fail("no such API token.")
	case !gone && section(c.accounts(), account) < 0:
		return c.fail("no such user.")
	}
	propagate := 1
	if on := c.option("propagate"); on != "" && !truth(on) {
		propagate = 0
	}
	text, _ := afero.ReadFile(c.fs, backupACL) // a missing file has no entries
	suffix := fmt.Sprintf(":%s:%s:%s", c.args[0], account, c.args[1])
	var lines []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasSuffix(line, suffix) {
			lines = append(lines, line)
		}
	}
	if !gone {
		lines = append(lines, "acl:"+strconv.Itoa(propagate)+suffix)
	}
	slices.Sort(lines)
	return c.write(backupACL, strings.Join(lines, "\n")+"\n")
}
