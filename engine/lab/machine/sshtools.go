package machine

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"
)

func sshPrograms() map[string]Program {
	return map[string]Program{"ssh": sshClient, "ssh-keygen": sshKeygen, "ssh-keyscan": sshKeyscan, "ssh-copy-id": sshCopyID, "scp": sshUnavailable,
		"/usr/lib/openssh/sftp-server": sftpServer, "/usr/sbin/sshd": sshdProgram}
}

func sshUnavailable(_ context.Context, c *Call) int { return notSimulated(c, "this program") }

// sshdProgram implements -t, which tests the configuration.
func sshdProgram(_ context.Context, c *Call) int {
	o, ok := c.options("tTf:")
	if !ok {
		return 2
	}
	if !o.has("t", "T") {
		return notSimulated(c, "running in the foreground")
	}
	for _, line := range c.Machine.lines(cmpOr(o.value("f"), "/etc/ssh/sshd_config")) {
		if o.has("T") {
			if f := strings.Fields(line); len(f) > 1 && !strings.HasPrefix(f[0], "#") {
				c.printf("%s %s\n", strings.ToLower(f[0]), strings.Join(f[1:], " "))
			}
		}
	}
	return 0
}

// stdio combines the standard streams of a program.
type stdio struct {
	io.Reader
	io.Writer
}

func (stdio) Close() error { return nil }

func sftpServer(ctx context.Context, c *Call) int {
	c.Argv = []string{"sftp"}
	return c.Machine.sftp(ctx, c, stdio{c.Stdin, c.Stdout})
}

func (c *Call) home() string {
	a, _ := c.Machine.account(c.User)
	return a.home
}

// identity returns the public keys of the user.
func (c *Call) identity(files []string) []ssh.PublicKey {
	if len(files) == 0 {
		for _, name := range []string{"id_rsa", "id_ecdsa", "id_ed25519"} {
			files = append(files, path.Join(c.home(), ".ssh", name))
		}
	}
	var keys []ssh.PublicKey
	for _, file := range files {
		content, err := afero.ReadFile(c.view(), c.Path(file))
		if err != nil {
			continue
		}
		if signer, err := ssh.ParsePrivateKey(content); err == nil {
			keys = append(keys, signer.PublicKey())
		}
	}
	return keys
}

// sshOptions returns the -o options of ssh by name, in lower case.
func sshOptions(o options) map[string]string {
	set := map[string]string{}
	for _, text := range o.values("o") {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			key, value, _ = strings.Cut(text, " ")
		}
		set[strings.ToLower(key)] = value
	}
	return set
}

// knownAs returns the keys of a host in the known_hosts files, or nil if it is unknown.
func (c *Call) knownAs(host string, files []string) []ssh.PublicKey {
	var keys []ssh.PublicKey
	for _, file := range files {
		content, err := afero.ReadFile(c.view(), c.Path(file))
		if err != nil {
			continue
		}
		for len(content) > 0 {
			_, hosts, key, _, rest, err := ssh.ParseKnownHosts(content)
			if err != nil {
				break
			}
			if slices.Contains(hosts, host) {
				keys = append(keys, key)
			}
			content = rest
		}
	}
	return keys
}

// sshClient runs a command on another machine of the lab if the user's keys and the host's keys allow it.
func sshClient(ctx context.Context, c *Call) int {
	o, ok := c.options("+o:i:l:p:qTtnxaAvFe:4c:")
	if !ok {
		return 255
	}
	if len(o.rest) == 0 {
		fmt.Fprintln(c.Stderr, "usage: ssh [options] destination [command [argument ...]]")
		return 255
	}
	set := sshOptions(o)
	user, host, has := strings.Cut(o.rest[0], "@")
	if !has {
		user, host = cmpOr(o.value("l"), set["user"], c.User), o.rest[0]
	}
	command := o.rest[1:]
	if len(command) > 0 && command[0] == "--" {
		command = command[1:]
	}
	to, code := c.sshLogin(user, host, set, o.values("i"))
	if code != 0 {
		return code
	}
	a, _ := to.account(user)
	child := &Call{Machine: to, Dir: a.home, User: user, Stdin: c.Stdin, Stdout: c.Stdout, Stderr: c.Stderr, ctx: ctx,
		environ: []string{"USER=" + user, "LOGNAME=" + user, "HOME=" + a.home, "SHELL=" + a.shell, "PATH=" + sshPath(a)}}
	child.Env = lookup(child.environ)
	if o.has("n") {
		child.Stdin = noInput{}
	}
	child.Argv = []string{a.shell}
	if len(command) > 0 {
		child.Argv = append(child.Argv, "-c", strings.Join(command, " "))
	}
	return to.exec(ctx, child)
}

// sshLogin connects, verifies the host key and authenticates.
func (c *Call) sshLogin(user, host string, set map[string]string, identities []string) (*Machine, int) {
	refuse := func(format string, args ...any) (*Machine, int) {
		fmt.Fprintf(c.Stderr, format+"\r\n", args...)
		return nil, 255
	}
	addrs := c.Machine.Resolve(host)
	if len(addrs) == 0 {
		return refuse("ssh: Could not resolve hostname %s: Name or service not known", host)
	}
	to, reached := c.Machine.Reach(host)
	switch {
	case !reached:
		return refuse("ssh: connect to host %s port 22: No route to host", host)
	case !to.Open(22):
		return refuse("ssh: connect to host %s port 22: Connection refused", host)
	}
	name := cmpOr(set["hostkeyalias"], host)
	userFile := cmpOr(set["userknownhostsfile"], path.Join(c.home(), ".ssh/known_hosts"))
	files := append(strings.Fields(userFile), strings.Fields(cmpOr(set["globalknownhostsfile"], "/etc/ssh/ssh_known_hosts"))...)
	known := c.knownAs(name, files)
	key := to.HostKey()
	trusted := slices.ContainsFunc(known, func(k ssh.PublicKey) bool { return string(k.Marshal()) == string(key.Marshal()) })
	strict := cmpOr(set["stricthostkeychecking"], "ask")
	switch {
	case trusted:
	case len(known) > 0:
		return refuse("@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\r\n@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\r\nHost key verification failed.")
	case strict == "no" || strict == "accept-new" || strict == "off":
		fmt.Fprintf(c.Stderr, "Warning: Permanently added '%s' (ED25519) to the list of known hosts.\r\n", name)
		c.addKnownHost(strings.Fields(userFile)[0], name, key)
	default:
		return refuse("Host key verification failed.")
	}
	keys := c.identity(identities)
	if !slices.ContainsFunc(keys, func(k ssh.PublicKey) bool { return to.authorized(user, k) }) || to.faults.refuses() {
		return refuse("%s@%s: Permission denied (publickey,password).", user, host)
	}
	return to, 0
}

func (c *Call) addKnownHost(file, name string, key ssh.PublicKey) {
	if file == "/dev/null" {
		return
	}
	v := c.view()
	present, _ := afero.ReadFile(v, c.Path(file)) // there may be none yet
	line := name + " " + string(ssh.MarshalAuthorizedKey(key))
	if err := writeFile(v, c.Path(file), string(present)+line, 0o600); err != nil {
		fmt.Fprintf(c.Stderr, "Failed to add the host to the list of known hosts (%s).\r\n", file)
	}
}

func sshKeygen(_ context.Context, c *Call) int {
	o, ok := c.options("t:b:N:f:C:qylF:RE:", "yes")
	if !ok {
		return 2
	}
	file := c.Path(cmpOr(o.value("f"), path.Join(c.home(), ".ssh/id_ed25519")))
	v := c.view()
	switch {
	case o.has("y"):
		content, err := afero.ReadFile(v, file)
		if err != nil {
			return c.Errorf("%s: %s", file, errText(err))
		}
		signer, err := ssh.ParsePrivateKey(content)
		if err != nil {
			return c.Errorf("Load key %q: invalid format", file)
		}
		c.printf("%s", ssh.MarshalAuthorizedKey(signer.PublicKey()))
		return 0
	case o.has("l"):
		content, err := afero.ReadFile(v, file)
		if err == nil {
			var key ssh.PublicKey
			var comment string
			if key, comment, _, _, err = ssh.ParseAuthorizedKey(content); err == nil {
				c.printf("256 %s %s (%s)\n", ssh.FingerprintSHA256(key), cmpOr(comment, "no comment"), strings.ToUpper(strings.TrimPrefix(key.Type(), "ssh-")))
				return 0
			}
		}
		return c.Errorf("%s: No such file or directory", file)
	case o.has("F"):
		keys := c.knownAs(o.value("F"), []string{cmpOr(o.value("f"), path.Join(c.home(), ".ssh/known_hosts"))})
		for _, key := range keys {
			c.printf("# Host %s found\n%s %s", o.value("F"), o.value("F"), ssh.MarshalAuthorizedKey(key))
		}
		if len(keys) == 0 {
			return 1
		}
		return 0
	case o.has("R"):
		return notSimulated(c, "-R")
	}
	if _, err := v.Stat(file); err == nil {
		c.printf("%s already exists.\nOverwrite (y/n)? ", file)
		if answer, err := readLine(c.Stdin); err != nil || !strings.HasPrefix(answer, "y") {
			return 1
		}
	}
	if o.value("N") != "" {
		return notSimulated(c, "-N with a passphrase")
	}
	var private any
	var err error
	switch o.value("t") {
	case "", "ed25519":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case "rsa":
		// always 2048 bits: a rehearsal generates many keys, which protect nothing
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		return notSimulated(c, "-t "+o.value("t"))
	}
	if err != nil {
		return c.Errorf("%v", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return c.Errorf("%v", err)
	}
	comment := cmpOr(o.value("C"), c.User+"@"+c.Machine.Name())
	block, err := ssh.MarshalPrivateKey(private, comment)
	if err != nil {
		return c.Errorf("%v", err)
	}
	public := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))) + " " + comment + "\n"
	if err := writeFile(v, file, string(pem.EncodeToMemory(block)), 0o600); err != nil {
		return c.Errorf("Saving key %q failed: %s", file, errText(err))
	}
	if err := writeFile(v, file+".pub", public, 0o644); err != nil {
		return c.Errorf("Saving key %q failed: %s", file+".pub", errText(err))
	}
	if !o.has("q") {
		c.printf("Generating public/private %s key pair.\nYour identification has been saved in %s\nYour public key has been saved in %s.pub\n", cmpOr(o.value("t"), "ed25519"), file, file)
	}
	return 0
}

func sshKeyscan(_ context.Context, c *Call) int {
	o, ok := c.options("t:T:p:Hf:4q")
	if !ok {
		return 2
	}
	if o.has("H", "f") {
		return notSimulated(c, "-H and -f")
	}
	for _, host := range o.rest {
		to, reached := c.Machine.Reach(host)
		if !reached || !to.Open(22) {
			fmt.Fprintf(c.Stderr, "%s: Connection closed by remote host\n", host)
			continue
		}
		types := cmpOr(o.value("t"), "ed25519")
		if slices.Contains(strings.Split(types, ","), "ed25519") {
			fmt.Fprintf(c.Stderr, "# %s:22 SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\n", host)
			c.printf("%s %s", host, ssh.MarshalAuthorizedKey(to.HostKey()))
		}
	}
	return 0
}

// sshCopyID appends the user's public keys to authorized_keys on another machine, if the login succeeds.
func sshCopyID(ctx context.Context, c *Call) int {
	o, ok := c.options("i:o:p:f")
	if !ok {
		return 2
	}
	if len(o.rest) != 1 {
		return c.Errorf("ERROR: expected a destination")
	}
	user, host, has := strings.Cut(o.rest[0], "@")
	if !has {
		user, host = c.User, o.rest[0]
	}
	to, code := c.sshLogin(user, host, sshOptions(o), nil)
	if code != 0 {
		c.Errorf("ERROR: the key could not be installed: the login failed")
		return 1
	}
	file := strings.TrimSuffix(cmpOr(o.value("i"), path.Join(c.home(), ".ssh/id_rsa")), ".pub") + ".pub"
	key, err := afero.ReadFile(c.view(), c.Path(file))
	if err != nil {
		return c.Errorf("ERROR: failed to open ID file '%s': No such file", strings.TrimSuffix(file, ".pub"))
	}
	a, _ := to.account(user)
	there := view{m: to, cred: to.credentials(user), by: "ssh-copy-id"}
	target := path.Join(a.home, ".ssh/authorized_keys")
	present, _ := afero.ReadFile(there, target) // there may be none yet
	if err := writeFile(there, target, string(present)+string(key), 0o600); err != nil {
		return c.Errorf("ERROR: %s", errText(err))
	}
	c.printf("\nNumber of key(s) added: 1\n")
	return 0
}

// openssl implements x509 -noout with -fingerprint and -subject, version and rand.
func openssl(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	if len(args) == 0 {
		return notSimulated(c, "no command")
	}
	switch args[0] {
	case "version":
		c.printf("OpenSSL 3.0.17 1 Jul 2025 (Library: OpenSSL 3.0.17 1 Jul 2025)\n")
		return 0
	case "x509":
	default:
		return notSimulated(c, args[0])
	}
	file, digest, wantPrint, wantSubject := "-", "sha1", false, false
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case "-in":
			if i++; i >= len(args) {
				return c.Errorf("x509: Option -in needs a value")
			}
			file = args[i]
		case "-noout":
		case "-fingerprint":
			wantPrint = true
		case "-subject":
			wantSubject = true
		case "-sha256", "-sha1":
			digest = args[i][1:]
		default:
			return notSimulated(c, args[i])
		}
	}
	f, err := c.input(file)
	if err != nil {
		fmt.Fprintf(c.Stderr, "Could not open file or uri for loading certificate from %s: %s\nUnable to load certificate\n", file, errText(err))
		return 1
	}
	content, err := io.ReadAll(f)
	_ = f.Close() // only read
	block, _ := pem.Decode(content)
	if err != nil || block == nil {
		fmt.Fprintf(c.Stderr, "Could not find certificate from %s\nUnable to load certificate\n", file)
		return 1
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		fmt.Fprintf(c.Stderr, "Could not read certificate from %s: %v\n", file, err)
		return 1
	}
	if wantSubject {
		c.printf("subject=%s\n", cert.Subject)
	}
	if wantPrint {
		var sum []byte
		if digest == "sha256" {
			s := sha256.Sum256(block.Bytes)
			sum = s[:]
		} else {
			s := sha1.Sum(block.Bytes)
			sum = s[:]
		}
		var pairs []string
		for _, b := range sum {
			pairs = append(pairs, fmt.Sprintf("%02X", b))
		}
		c.printf("%s Fingerprint=%s\n", digest, strings.Join(pairs, ":"))
	}
	return 0
}
