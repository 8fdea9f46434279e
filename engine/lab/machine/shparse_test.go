package machine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// The cache returns a parsed script for the same text and shell only, and observes its size limit. Features that the
// interpreter would silently ignore are rejected before any of the script runs.
func TestUnsimulatedSyntax(t *testing.T) {
	m := bare(t)
	for script, lacks := range map[string]string{
		"echo a; exec 3>/srv/f; echo x >&3":             "file descriptor 3",
		"exec 4</etc/hostname; read a <&4; echo \"$a\"": "file descriptor 4",
		"{ echo a; echo b >&2; } 3>&1 1>&2 2>&3":        "file descriptor 3",
		"echo a; (trap 'echo b' EXIT; echo c)":          "a trap of EXIT in a subshell",
		"x=$(trap 'echo b' 0; echo c); echo $x":         "a trap of EXIT in a command substitution",
	} {
		out, errs, code := run(t, m, "root", script)
		if want := "sh: not supported on simulated nodes: " + lacks + "\n"; out != "" || errs != want || code != 2 {
			t.Errorf("%s: prints %q and %q, and ends with %d; expected %q", script, out, errs, code, want)
		}
	}
	for script, want := range map[string]string{
		"exec 3<>/srv/lock; echo a >&2; exec 3>&-; echo b 2>&1":           "b\n",
		"f() { trap 'echo gone' EXIT; }; (trap '' TERM; echo a); f; echo": "a\n\ngone\n",
		"(trap - EXIT; echo a)": "a\n",
	} {
		if out, errs, code := run(t, m, "root", script); out != want || code != 0 {
			t.Errorf("%s: prints %q and %q, and ends with %d; expected %q", script, out, errs, code, want)
		}
	}
}

func TestParsedScriptsAreKept(t *testing.T) {
	p := &parsedScripts{limit: 1600}
	script := shText{"echo $$", true}
	first := p.parse(script)
	if first.err != nil || first.file == nil || first.text == script.text {
		t.Fatalf("%+v", first)
	}
	if again := p.parse(script); again.file != first.file {
		t.Error("it was parsed twice")
	}
	if p.parse(shText{script.text, false}).file == first.file {
		t.Error("bash got the script of sh")
	}
	if bad := p.parse(shText{"if", true}); bad.err == nil || p.parse(shText{"if", true}).err != bad.err {
		t.Error("what is no script was accepted, or parsed twice")
	}
	for i := range 100 {
		p.parse(shText{fmt.Sprintf("echo %d%s", i, strings.Repeat(" ", 50)), true})
		if p.size > p.limit {
			t.Fatalf("%d bytes are kept, more than %d", p.size, p.limit)
		}
	}
	p.parse(shText{strings.Repeat("true\n", 1000), true})
	if p.size > p.limit {
		t.Errorf("%d bytes are kept, more than %d", p.size, p.limit)
	}
}

// One script runs on many machines concurrently, each with its own parameters and variables.
func TestOneScriptOnManyMachines(t *testing.T) {
	const script = `f() { for x in "$@"; do n=$((n + 1)); case $x in [a-c]*) eval "v=\${1}$x" ;; *) v=$$ ;; esac; done; echo "$v $n"; }; n=0; f "$1" "$2"; echo {a,b} "${10}"`
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			m := New(Config{Name: fmt.Sprint("m", i)})
			var out strings.Builder
			for range 20 {
				out.Reset()
				if code := m.Console(t.Context(), &out, &out, "bash", "-c", script, "bash", "a", fmt.Sprint("b", i), "3", "4", "5", "6", "7", "8", "9", "ten"); code != 0 {
					t.Errorf("exit code %d: %s", code, &out)
				}
				if want := fmt.Sprintf("ab%d 2\na b ten\n", i); out.String() != want {
					t.Errorf("%q, expected %q", &out, want)
					return
				}
			}
		})
	}
	all.Wait()
}
