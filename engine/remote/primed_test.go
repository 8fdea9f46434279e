package remote

import (
	"io"
	"strings"
	"testing"
	"time"
)

// A variable takes the first script to the host with the line that starts the shell. A host that does not accept it costs a round trip
// more, as one to which no variable is sent.
func TestRoundTripsOfTheFirstQueries(t *testing.T) {
	key := newKey(t, "id", "")
	for name, test := range map[string]struct {
		config  []string
		unasked bool
		want    int
	}{
		"accepted":  {config: []string{"AcceptEnv LANG LC_*"}, want: 2},
		"refused":   {want: 3},
		"not tried": {unasked: true, want: 3},
	} {
		c := mustDial(t, newOpenSSH(t, key, test.config...).target(t, key), plain())
		c.transport.(*sshTransport).acceptsNone.Store(test.unasked)
		before := c.Stats().RoundTrips
		if got := string(ask(t, c, Query{Script: "echo one"})[0].Stdout); got != "one\n" {
			t.Errorf("%s: the answer is %q", name, got)
		}
		if got := c.Stats().RoundTrips - before; got != test.want {
			t.Errorf("%s: %d round trips to open a session and answer, expected %d", name, got, test.want)
		}
		before = c.Stats().RoundTrips
		if got := string(ask(t, c, Query{Script: "echo two"})[0].Stdout); got != "two\n" {
			t.Errorf("%s: the second answer is %q", name, got)
		}
		if got := c.Stats().RoundTrips - before; got != 1 {
			t.Errorf("%s: %d round trips for the second answer, expected 1", name, got)
		}
	}
}

// A host that has not accepted the variable is not sent it again.
func TestVariableIsRefusedOnce(t *testing.T) {
	key := newKey(t, "id", "")
	s := newServer(t, key, func(s *server) { s.acceptsNone = true })
	c := mustDial(t, s.target("root", key), plain())
	ask(t, c, Query{Script: ":"})
	c.read.drop()
	ask(t, c, Query{Script: ":"})
	if lines := s.seen(); len(lines) != 2 || lines[0] == sourced || lines[1] != sourced {
		t.Errorf("the host was sent %q, expected %q the second time", lines, sourced)
	}
}

// Where the variable is of no use, the script is sent on standard input.
func TestShellsThatAreNotPrimed(t *testing.T) {
	key := newKey(t, "id", "")
	long := Query{Script: `printf %s "$1"`, Args: []string{strings.Repeat("x", mostGiven)}}
	for name, test := range map[string]struct {
		server func(*server)
		query  Query
		want   string
	}{
		"too long":               {func(*server) {}, long, long.Args[0]},
		"a server of other make": {func(s *server) { s.config.ServerVersion = "SSH-2.0-dropbear" }, Query{Script: "echo x"}, "x\n"},
	} {
		s := newServer(t, key, test.server)
		c := mustDial(t, s.target("root", key), plain())
		if got := string(ask(t, c, test.query)[0].Stdout); got != test.want {
			t.Errorf("%s: the answer has %d bytes, expected %d", name, len(got), len(test.want))
		}
		if lines := s.seen(); len(lines) != 1 || lines[0] != sourced {
			t.Errorf("%s: the host was sent %q, expected %q", name, lines, sourced)
		}
	}
}

// The environment takes whatever a script can contain. A script that the shell cannot parse is an error at once.
func TestPrimedScripts(t *testing.T) {
	every := make([]byte, 0, 255)
	for b := 1; b < 256; b++ {
		every = append(every, byte(b))
	}
	key := newKey(t, "id", "")
	c := mustDial(t, newOpenSSH(t, key, "AcceptEnv LC_*").target(t, key), plain())
	if got := string(ask(t, c, Query{Script: `printf %s "$1"`, Args: []string{string(every)}})[0].Stdout); got != string(every) {
		t.Errorf("of an argument with every byte, %q arrived", got)
	}
	s := newServer(t, key, func(s *server) { s.run = runInterp })
	c = mustDial(t, s.target("root", key), plain())
	c.startLimit = time.Hour
	if _, err := c.Ask(bounded(t), []Query{{Script: ":", Args: []string{"\xff"}}}); err == nil || !strings.Contains(err.Error(), "invalid UTF-8") {
		t.Errorf("the interpreter of simulated hosts takes UTF-8 only, but the error is %v", err)
	}
}

// What the first queries are is no secret from the user and root, but they are in the environment of no other process, and not in that
// of the shell once it has answered them.
func TestFirstQueriesLeaveNoTrace(t *testing.T) {
	const environs = `env; echo; tr '\0' '\n' </proc/$$/environ`
	everywhere(t, func(t *testing.T, c *conn) {
		first := ask(t, c, Query{Script: "env # MARK"}, Query{Script: "env # MARK", Inline: true},
			Query{Script: `tr '\0' '\n' </proc/$$/cmdline`})
		second := ask(t, c, Query{Script: "env"}, Query{Script: environs, Inline: true})
		if len(second[1].Stdout) == 0 {
			t.Error("no environment was read")
		}
		for i, a := range append(first, second[0]) {
			if text := string(a.Stdout); strings.Contains(text, scriptVariable+"=") || strings.Contains(text, "MARK") || strings.Contains(text, "_hl_") && i != 2 {
				t.Errorf("process %d finds the script in its environment or on its line:\n%s", i, text)
			}
		}
		env, environ, _ := strings.Cut(string(second[1].Stdout), "\n\n")
		if strings.Contains(env, "_hl_") || strings.Contains(environ, "MARK") || strings.Contains(environ, scriptVariable) {
			t.Errorf("the shell still has the script:\n%s", second[1].Stdout)
		}
	})
}

// What a login shell prints at its start is no answer, whether or not it accepts the variable, and is what the error says if it ends.
func TestNoiseBeforeTheFirstWord(t *testing.T) {
	key := newKey(t, "id", "")
	for _, refuses := range []bool{false, true} {
		for then, want := range map[string]string{"; ": "", "; exit 1; ": "node: the shell of user root did not start: welcome"} {
			s := newServer(t, key, func(s *server) {
				s.acceptsNone = refuses
				s.run = func(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
					return runSh("printf welcome; printf welcome >&2"+then+line, env, stdin, stdout, stderr)
				}
			})
			c := mustDial(t, s.target("root", key), plain())
			answers, err := c.Ask(t.Context(), []Query{{Script: "echo one"}})
			switch {
			case want == "" && (err != nil || string(answers[0].Stdout) != "one\n"):
				t.Errorf("refuses %v: %v, %v", refuses, answers, err)
			case want != "" && (err == nil || err.Error() != want):
				t.Errorf("refuses %v: the error is %v, expected %s", refuses, err, want)
			}
		}
	}
}
