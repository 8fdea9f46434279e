package machine

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"path"
	"strings"

	"github.com/spf13/afero"
	"golang.org/x/crypto/ssh"
)

// sshdProgram implements sshd -t, which tests the configuration.
func sshdProgram(_ context.Context, c *Call) int {
	o, ok := c.options("tTf:")
	if !ok {
		return 2
	}
	if !o.has("t", "T") {
		return notSimulated(c, "running in the foreground")
	}
	for _, line := range c.Machine.lines(cmp.Or(o.value("f"), "/etc/ssh/sshd_config")) {
		if o.has("T") {
			if f := strings.Fields(line); len(f) > 1 && !strings.HasPrefix(f[0], "#") {
				c.printf("%s %s\n", strings.ToLower(f[0]), strings.Join(f[1:], " "))
			}
		}
	}
	return 0
}

func (c *Call) home() string {
	a, _ := c.Machine.account(c.User)
	return a.home
}

func sshKeygen(_ context.Context, c *Call) int {
	o, ok := c.options("t:b:N:f:C:qylF:RE:", "yes")
	if !ok {
		return 2
	}
	file := c.Path(cmp.Or(o.value("f"), path.Join(c.home(), ".ssh/id_ed25519")))
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
	case o.has("l", "F", "R"):
		return notSimulated(c, "-l, -F and -R")
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
		// 2048 bits are enough: a rehearsal generates many keys, which protect nothing
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
	comment := cmp.Or(o.value("C"), c.User+"@"+c.Machine.Name())
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
		c.printf("Generating public/private %s key pair.\nYour identification has been saved in %s\nYour public key has been saved in %s.pub\n", cmp.Or(o.value("t"), "ed25519"), file, file)
	}
	return 0
}
