//go:build linux

package remote

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

// A server that was not told to reload, or has done so, is not waited for.
func TestReloaded(t *testing.T) {
	everywhere(t, func(t *testing.T, c *conn) {
		answers, err := c.Ask(bounded(t), []Query{Reloaded(), Until(Reloaded(), time.Minute, 0)})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range answers {
			if a.Exit != 0 || len(a.Stdout)+len(a.Stderr) > 0 {
				t.Errorf("exit code %d, %q, %q; want nothing", a.Exit, a.Stdout, a.Stderr)
			}
		}
	})
}

// deafServer runs a command line as sshd does, except that it does not take the SIGHUP that it is sent before the file exists.
const deafServer = `use POSIX;
my ($file, $line) = @ARGV;
my $hup = POSIX::SigSet->new(SIGHUP);
$SIG{HUP} = sub {};
sigprocmask(SIG_BLOCK, $hup);
kill HUP => $$;
my $session = fork // die;
if (!$session) {
	sigprocmask(SIG_UNBLOCK, $hup);
	exec "sh", "-c", $line;
}
my $deaf = 1;
while (waitpid($session, $deaf ? WNOHANG : 0) != $session) {
	if ($deaf && -e $file) { sigprocmask(SIG_UNBLOCK, $hup); $deaf = 0 }
	select undef, undef, undef, 0.005 if $deaf;
}`

// A server that is too busy to reload is waited for, and named.
func TestReloadedIsAwaited(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("without perl, no process keeps a signal pending: ", err)
	}
	file, key := filepath.Join(t.TempDir(), "free"), newKey(t, "id", "")
	s := newServer(t, key, func(s *server) {
		s.run = func(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
			quoted, err := Quote([]string{perl, "-e", deafServer, file, line})
			if err != nil {
				t.Error(err)
			}
			return runSh(quoted, env, stdin, stdout, stderr)
		}
	})
	c := mustDial(t, s.target("root", key), plain())
	answers, err := c.Ask(bounded(t), []Query{Reloaded(), Until(Reloaded(), 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	says := regexp.MustCompile(`^perl \(process \d+\) has not yet taken SIGHUP, with which it was told to read its configuration again\n$`)
	if a := answers[0]; a.Exit != 1 || !says.Match(a.Stderr) {
		t.Errorf("exit code %d, %q; want 1, and that perl has not taken it", a.Exit, a.Stderr)
	}
	if a := answers[1]; a.Exit != 1 {
		t.Errorf("waiting ended with exit code %d, want 1", a.Exit)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	answers, err = c.Ask(bounded(t), []Query{Until(Reloaded(), time.Hour, 0), Reloaded()})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range answers {
		if a.Exit != 0 {
			t.Errorf("exit code %d, %q; want 0 once it has taken it", a.Exit, a.Stderr)
		}
	}
}
