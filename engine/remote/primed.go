package remote

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"
)

// scriptVariable is the environment variable with the first script of a reading shell. OpenSSH's sshd takes no input for a session
// before it has started the program, so that a script on standard input leaves a round trip after the line. A variable is sent
// with the line. Debian's sshd accepts those whose names begin with LC_ (AcceptEnv in sshd_config(5)), and nothing else uses this name.
//
// The environment of a process can be read by its user and by root only. What a .bashrc starts inherits it. At LogLevel DEBUG2, sshd
// logs the first 1,024 bytes of a variable, which say nothing of the queries.
const scriptVariable = "LC_HLPLAY"

// mostGiven is how long a script in a variable may be. The kernel limits the variable to 128 KiB (MAX_ARG_STRLEN, execve(2)).
const mostGiven = 64 << 10

// primed starts a shell that runs the script in the variable and then becomes one that reads its input, as with sourced: the variable is
// then not in /proc/PID/environ any more, and the functions that the script has defined are in $_hl_functions, until they are
// defined again. If the host has not accepted the variable, the shell prints a word (%s) and reads its first script, too.
// As with boot, any login shell passes the line on unchanged.
const primed = `exec sh -c 'eval "${` + scriptVariable + `-echo %s}" && export _hl_functions && exec sh'`

// primeReading starts a shell that is given its first script, which defines functions and asks the first queries. It returns nil if
// the script has to be sent on standard input: sudo passes no variables on, and servers other than OpenSSH's take input at once, so
// that one that accepts no variables would cost them a round trip.
func (s *session) primeReading(ctx context.Context, functions string, first []byte) (*shell, error) {
	t, ok := s.conn.transport.(*sshTransport)
	if !ok || s.user != "" || t.acceptsNone.Load() || !strings.Contains(string(t.client.ServerVersion()), "OpenSSH") {
		return nil, nil
	}
	kept, err := quote(functions)
	if err != nil {
		return nil, err
	}
	mark, none := nonce(), nonce()
	before := "unset " + scriptVariable + "\n" + opening(mark, "", firstWords) + "_hl_i=0 _hl_functions=" + kept + "\neval \"$_hl_functions\"\n"
	script := whole(append([]byte(before), first...))
	if len(script) > mostGiven {
		return nil, nil
	}
	p, err := t.startPrimed(ctx, fmt.Sprintf(primed, none), script)
	if err != nil {
		return nil, s.unstarted(ctx, err)
	}
	sh := newShell(s.attend(p, mark))
	sh.bare = true
	sh.out.instead = []byte(none + "\n")
	sh.out.noted = func() {
		t.acceptsNone.Store(true)
		sh.bare = false
		go func() { _, _ = sh.Stdin().Write(script) }() // an error shows as the end of the streams
	}
	return sh, nil
}

// startPrimed is start for a line whose program finds a script in the variable.
func (t *sshTransport) startPrimed(ctx context.Context, line string, script []byte) (process, error) {
	p, err := t.session(ctx, false)
	if err != nil {
		return nil, err
	}
	// The shell says whether the variable was accepted.
	if _, err := p.ch.SendRequest("env", false, ssh.Marshal(struct{ Name, Value string }{scriptVariable, string(script)})); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.exec(line); err != nil {
		return nil, err
	}
	if p.written != nil {
		p.written()
	}
	return p, nil
}

// again returns the beginning of a reading shell's next script: what defines the functions again if the shell has started afresh
// since its first script.
func (sh *shell) again() string {
	if !sh.bare {
		return afresh
	}
	sh.bare = false
	return fmt.Sprintf("_hl_n=%s _hl_i=%d _hl_f=$_hl_functions\nunset _hl_functions\neval \"$_hl_f\"\n", sh.nonce, sh.next)
}
