package machine

import (
	"context"
	"io"
)

// Console runs a command as root on the machine's console, without the network, and returns its exit code. Tests use it
// to check the machine's state independently of the code under test.
func (m *Machine) Console(ctx context.Context, stdout, stderr io.Writer, argv ...string) int {
	root, ok := m.account("root")
	if !ok {
		return 255
	}
	environ := []string{"USER=root", "HOME=" + root.home, "SHELL=" + root.shell, "PATH=" + sshPath(root)}
	return m.exec(ctx, &Call{
		Machine: m, Argv: argv, Dir: "/", User: "root", Env: lookup(environ), environ: environ,
		Stdout: stdout, Stderr: stderr,
	})
}
