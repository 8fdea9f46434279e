package pveceph

import (
	"strings"
	"testing"

	"hlplay/modules/internal/conffile"
)

func TestEditConf(t *testing.T) {
	const text = "# ours\n[global]\n\tfsid = f\n\tmon osd-down out interval = 600\n\n[mon]\n\tx = 1 # why\n"
	tests := map[string]struct{ section, key, value, want string }{
		"another spelling":        {"global", "mon_osd_down_out_interval", "300", "# ours\n[global]\n\tfsid = f\n\tmon_osd_down_out_interval = 300\n\n[mon]\n\tx = 1 # why\n"},
		"a new one":               {"global", "y", "2", "# ours\n[global]\n\tfsid = f\n\tmon osd-down out interval = 600\n\ty = 2\n\n[mon]\n\tx = 1 # why\n"},
		"in the last section":     {"mon", "y", "a;b", "# ours\n[global]\n\tfsid = f\n\tmon osd-down out interval = 600\n\n[mon]\n\tx = 1 # why\n\ty = a\\;b\n"},
		"of another section":      {"global", "x", "2", "# ours\n[global]\n\tfsid = f\n\tmon osd-down out interval = 600\n\tx = 2\n\n[mon]\n\tx = 1 # why\n"},
		"in a section of its own": {"osd.3", "y", "2", text + "\n[osd.3]\n\ty = 2\n"},
	}
	for name, test := range tests {
		if got := editConf(text, test.section, test.key, test.value); got != test.want {
			t.Errorf("%s:\n%s\nwant:\n%s", name, got, test.want)
		}
	}
	windows := strings.ReplaceAll(text, "\n", "\r\n")
	for name, test := range tests {
		got := conffile.EditLines(windows, func(text string) string { return editConf(text, test.section, test.key, test.value) })
		if want := strings.ReplaceAll(test.want, "\n", "\r\n"); got != want {
			t.Errorf("%s, with the line ends of Windows: %q, want %q", name, got, want)
		}
	}
	if got, want := editConf("[mon]\nx = 1\nx=2", "mon", "x", "3"), "[mon]\n\tx = 3\n"; got != want {
		t.Errorf("said twice: %q, want %q", got, want)
	}
	// A backslash continues the line before.
	if got, want := editConf("[mon]\nx = 1 \\", "mon", "y", "2"), "[mon]\nx = 1 \\\n\n\ty = 2\n"; got != want {
		t.Errorf("behind a backslash: %q, want %q", got, want)
	}
	if got, want := editConf("[mon]\nx = 1 \\\n\n[osd]\n", "mon", "y", "2"), "[mon]\nx = 1 \\\n\n\ty = 2\n[osd]\n"; got != want {
		t.Errorf("behind a continued line: %q, want %q", got, want)
	}
}
