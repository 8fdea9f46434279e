package lang

import (
	"strings"
	"testing"
)

func TestCheckResults(t *testing.T) {
	load := func(t *testing.T, reading string) *Playbook {
		return mustLoad(t, `
play "p" {
  hosts = "all"
  task "first" {
    tags     = ["a"]
    register = "x"
    probe { name = "n" }
  }
  task "second" {
    tags = ["b"]
    `+reading+`
  }
  task "third" {
    tags   = ["c"]
    notify = ["quiet"]
    probe { name = "n" }
  }
  handler "quiet" {
    probe { name = "n" }
  }
  handler "reads it" {
    probe { name = result.x.stdout }
  }
}
`, testOptions)
	}
	const reads = `probe { name = result.x.stdout }`
	for name, test := range map[string]struct {
		reading, start, tags, skip string
		want                       string
	}{
		"all":               {reading: reads},
		"start past it":     {reading: reads, start: "second", want: `--start-at-task "second": task "first" (`},
		"start behind both": {reading: reads, start: "third"},
		"tags":              {reading: reads, tags: "b", want: `it is tagged a`},
		"skip":              {reading: reads, skip: "a", want: `task "second" reads its result "x"`},
		"until of another":  {reading: "until = result.x.rc == 0\n" + `probe { name = "n" }`, start: "second", want: `reads its result "x"`},
		"in a template":     {reading: `probe { name = "${upper(result.x.stdout)}" }`, start: "second", want: `reads its result "x"`},
		"in a vars":         {reading: "vars = { s = result.x.stdout }\n" + `probe { name = vars.s }`, start: "second", want: `reads its result "x"`},
		"a handler":         {reading: "notify = [\"reads it\"]\n" + `probe { name = "n" }`, start: "second", want: `task "reads it" reads`},
		"what all have":     {reading: `probe { name = result.x.status }`, start: "second"},
		"try":               {reading: `probe { name = try(result.x.stdout, "") }`, start: "second"},
		"an answer":         {reading: `probe { name = result.x.skipped ? "" : result.x.stdout }`, start: "second"},
		"guarded":           {reading: "when = !result.x.skipped\n" + reads, start: "second"},
	} {
		t.Run(name, func(t *testing.T) {
			err := load(t, test.reading).CheckResults(test.start, strings.Fields(test.tags), strings.Fields(test.skip), nil)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}
