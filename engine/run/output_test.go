package run

import (
	"strings"
	"testing"
)

func TestTailOfAnOutputIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		lines int
		want  string
	}{
		"nothing":       {"", 3, ""},
		"all":           {"a\nb\n", 3, "a\nb"},
		"exactly":       {"a\nb\nc\n", 3, "a\nb\nc"},
		"more":          {"a\nb\nc\nd", 2, "…\nc\nd"},
		"empty lines":   {"\na\n\nb\n\n", 3, "…\na\n\nb"},
		"one long line": {strings.Repeat("x", 3<<20), 3, "(3080192 bytes before)\n" + strings.Repeat("x", mostShown)},
		"long lines":    {strings.Repeat(strings.Repeat("y", 40<<10)+"\n", 100), 3, "(4030563 bytes before)\n" + strings.Repeat("y", 24575) + "\n" + strings.Repeat("y", 40<<10)},
		"many lines":    {strings.Repeat("z\n", 1<<20), 2, "…\nz\nz"},
		"binary":        {"\xff\x00\n\xfe", 1, "…\n\xfe"},
	} {
		if got := tail([]byte(c.in), c.lines); got != c.want {
			t.Errorf("%s: %d bytes %.60q…, want %d bytes %.60q…", name, len(got), got, len(c.want), c.want)
		}
	}
	output := []byte(strings.Repeat("z\n", 8<<20))
	if bytes := testing.AllocsPerRun(1, func() { tail(output, 10) }); bytes > 5 {
		t.Errorf("the end of a long output takes %v allocations", bytes)
	}
}
