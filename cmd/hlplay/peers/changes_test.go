//go:build linux && peers

package peers

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
)

// byScript is the lower bound of a first run: one connection per host, and one script that makes the playbook's
// changes.
var byScript = tool{name: oneScript, command: func(s *testbed, _ string) (string, []string, []string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, nil, err
	}
	argv := []string{"env", role + "=changes", self, s.key(), s.file("known_hosts")}
	for i, node := range s.List {
		text, err := s.script(i)
		if err != nil {
			return "", nil, nil, err
		}
		if err := os.WriteFile(s.file(node.Name+".sh"), text, 0o600); err != nil {
			return "", nil, nil, err
		}
	}
	return s.home, []string{"PATH=" + os.Getenv("PATH")}, append(argv, s.endpoints...), nil
}}

// script returns first.sh for a node.
func (s *testbed) script(i int) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(ansibleFolder, "first.sh"))
	if err != nil {
		return nil, err
	}
	var script bytes.Buffer
	fmt.Fprintf(&script, "name=%s ring=%s address=%s", s.List[i].Name, ring(i), s.List[i].Address)
	for _, node := range s.List {
		fmt.Fprintf(&script, " %s=%s", node.Name, node.Address)
	}
	script.WriteByte('\n')
	for line := range strings.Lines(string(text)) {
		name, isFile := strings.CutPrefix(strings.TrimSpace(line), "@")
		if !isFile {
			script.WriteString(line)
			continue
		}
		content, err := os.ReadFile(filepath.Join(ansibleFolder, "files", name))
		if err != nil {
			return nil, err
		}
		script.Write(content)
	}
	return script.Bytes(), nil
}

// changes is a program that only runs each node's script, on all nodes concurrently. Its arguments are those of floor.
// The scripts, pve1.sh to pve3.sh, are in its working directory.
func changes(args []string) error {
	return onEach(args, func(i int, host string, p *phases, key ssh.Signer, known *knownhosts.HostKeyDB) error {
		script, err := os.ReadFile(fmt.Sprintf("pve%d.sh", i+1))
		if err != nil {
			return err
		}
		session, closeAll, err := p.open(host, key, known)
		if err != nil {
			return err
		}
		defer closeAll()
		session.Stdin = bytes.NewReader(script)
		if output, err := session.CombinedOutput("exec sh"); err != nil {
			return fmt.Errorf("%s: %w:\n%s", host, err, output)
		}
		return nil
	})
}
