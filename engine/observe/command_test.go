package observe

import (
	"net"
	"testing"
	"time"

	"hlplay/engine/remote"
)

func TestReadingsRunAsTheySay(t *testing.T) {
	h := localHost(t)
	for _, test := range []struct {
		name    string
		reading Reading
		want    string
		exit    int
	}{
		{"plain", Reading{Argv: []string{"printf", "%s|", "a b", "$x", "'"}}, "a b|$x|'|", 0},
		{"exit code", Reading{Argv: []string{"sh", "-c", "exit 3"}}, "", 3},
		{"standard input is empty", Reading{Argv: []string{"cat"}}, "", 0},
		{"standard input", Reading{Argv: []string{"cat"}, Stdin: "a\n%s\\n"}, "a\n%s\\n", 0},
		{"environment", Reading{Argv: []string{"sh", "-c", `printf %s "$A$B"`}, Env: map[string]string{"A": "x y", "B": "$(id)"}}, "x y$(id)", 0},
		{"directory", Reading{Argv: []string{"pwd"}, Dir: "/"}, "/\n", 0},
		{"no such directory", Reading{Argv: []string{"pwd"}, Dir: "/no/where"}, "", 126},
		{"no such program", Reading{Argv: []string{"no-such-program"}}, "", 127},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, err := test.reading.Observe(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			if string(a.Stdout) != test.want || a.Exit != test.exit {
				t.Errorf("it printed %q and ended with %d, expected %q and %d; standard error: %s", a.Stdout, a.Exit, test.want, test.exit, a.Stderr)
			}
		})
	}
}

func TestCommandLimit(t *testing.T) {
	r := Reading{Argv: []string{"sleep", "600"}, Limit: time.Second}
	if a, err := r.Observe(t.Context(), localHost(t)); err == nil {
		t.Errorf("a command beyond its limit answered %v, expected an error", a)
	}
}

func TestAfterAChangeTheAuthorsCommandsAreUnknown(t *testing.T) {
	r := Reading{Argv: []string{"pveversion"}}
	h := NewRecorded("h", AuthorCommands.Expect(r.Key(), remote.Answer{Exit: 1}), AfterChange("install proxmox-ve"))
	if _, err := AuthorCommands.Observe(t.Context(), h, r.Key()); err != nil {
		t.Errorf("what a step expects exactly is unknown: %v", err)
	}
	if _, err := AuthorCommands.Observe(t.Context(), h, Reading{Argv: []string{"id"}}.Key()); !IsUnknown(err) {
		t.Errorf("after a change the answer of a command is told as known (error %v)", err)
	}
}

func TestPorts(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := listener.Addr().String()
	h := localHost(t)
	if got, err := Ports.Observe(t.Context(), h, open); !got || err != nil {
		t.Errorf("the open port %s is told closed (error %v)", open, err)
	}
	listener.Close()
	h.Forget()
	if got, err := Ports.Observe(t.Context(), h, open); got || err != nil {
		t.Errorf("the closed port %s is told open (error %v)", open, err)
	}
	for _, bad := range []string{"127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "a b:22", ":22"} {
		if _, err := Ports.Observe(t.Context(), h, bad); err == nil {
			t.Errorf("%q was tried, expected an error", bad)
		}
	}
}

func FuzzReadingKey(f *testing.F) {
	f.Add("id", "root", "/", "A", "b", "in")
	f.Fuzz(func(t *testing.T, program, user, dir, name, value, stdin string) {
		r := Reading{Argv: []string{program}, User: user, Dir: dir, Env: map[string]string{name: value}, Stdin: stdin}
		told(t, Commands, []string{r.Key(), program}, make([]remote.Answer, len(Commands.Ask([]string{r.Key(), program}))))
	})
}
