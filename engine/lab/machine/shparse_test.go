package machine

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// What was parsed is found again, by the text and the shell that it is for, and no more is kept than the limit says.
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

// One script runs on many machines at once, each with its own parameters and variables.
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
