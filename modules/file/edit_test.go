package file

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/modules/internal/modulestest"
)

func TestLines(t *testing.T) {
	const sshd = "# head\n#PermitRootLogin no\nPort 22\nPermitRootLogin yes\n"
	for _, test := range []struct {
		name, text string
		line       Line
		want       string
	}{
		{"there already", "a\nb\n", Line{Line: "b"}, "a\nb\n"},
		{"there, without its end", "a\nb", Line{Line: "b"}, "a\nb"},
		{"appended", "a\n", Line{Line: "b"}, "a\nb\n"},
		{"appended to a line without end", "a", Line{Line: "b"}, "a\nb\n"},
		{"into nothing", "", Line{Line: "b"}, "b\n"},
		{"the first form becomes the line, others go", sshd, Line{Regexp: `^#?PermitRootLogin\s`, Line: "PermitRootLogin no"}, "# head\nPermitRootLogin no\nPort 22\n"},
		{"only the comment matches", "#Port 1\nx\n", Line{Regexp: "^#?Port ", Line: "Port 2"}, "Port 2\nx\n"},
		{"after the last match", "a\na\nb\n", Line{Line: "n", InsertAfter: "^a"}, "a\na\nn\nb\n"},
		{"after no match", "a\n", Line{Line: "n", InsertAfter: "^z"}, "a\nn\n"},
		{"before the first match", "a\nb\nb\n", Line{Line: "n", InsertBefore: "^b"}, "a\nn\nb\nb\n"},
		{"at the beginning", "a\n", Line{Line: "n", InsertBefore: "BOF"}, "n\na\n"},
		{"absent", "a\nb\na\n", Line{Line: "a", State: "absent"}, "b\n"},
		{"absent by expression", sshd, Line{Regexp: "PermitRoot", State: "absent"}, "# head\nPort 22\n"},
		{"replaced", "auto lo\nallow-hotplug ens18\niface ens18\n", Line{Regexp: `^(allow-hotplug|auto)\s+ens18\s*$`, Line: "auto ens18", State: "replaced"}, "auto lo\nauto ens18\niface ens18\n"},
		{"nothing to be replaced", "auto lo\n", Line{Regexp: `^(allow-hotplug|auto)\s+ens18\s*$`, Line: "auto ens18", State: "replaced"}, "auto lo\n"},
		{"the last line goes", "a\n", Line{Line: "a", State: "absent"}, ""},
		{"there already in a CRLF file", "a\r\nb\r\n", Line{Line: "b"}, "a\r\nb\r\n"},
		{"appended to a CRLF file", "a\r\n", Line{Line: "b"}, "a\r\nb\r\n"},
		{"appended behind a last line without end", "a\r\nb", Line{Line: "c"}, "a\r\nb\r\nc\r\n"},
		{"replaced in a CRLF file", "Port 1\r\nx\r\n#Port 2\r\n", Line{Regexp: "^#?Port [0-9]$", Line: "Port 3"}, "Port 3\r\nx\r\n"},
		{"the form asked for, in a CRLF file", "Port 3\r\nx\r\n", Line{Regexp: "^#?Port ", Line: "Port 3"}, "Port 3\r\nx\r\n"},
		{"placed by expressions in a CRLF file", "a\r\nb\r\n", Line{Line: "n", InsertAfter: "^a$"}, "a\r\nn\r\nb\r\n"},
		{"before, in a CRLF file", "a\r\nb\r\n", Line{Line: "n", InsertBefore: "^b$"}, "a\r\nn\r\nb\r\n"},
		{"absent in a CRLF file", "a\r\nb\r\na\r\n", Line{Line: "a", State: "absent"}, "b\r\n"},
		{"a CRLF line among others", "a\nb\r\nc\n", Line{Line: "d"}, "a\nb\r\nc\nd\n"},
		{"empty lines stay", "\n\na\n\n", Line{Line: "b"}, "\n\na\n\nb\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := File{Lines: []Line{test.line}}
			got, err := modulestest.Decoded(&f).edited(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the text is wrong (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBlocks(t *testing.T) {
	for _, test := range []struct {
		name, text string
		block      Block
		want       string
	}{
		{"new", "a\n", Block{Content: "x\ny\n"}, "a\n# BEGIN hlplay managed block\nx\ny\n# END hlplay managed block\n"},
		{"replaced where it stands", "a\n# BEGIN m\nold\n# END m\nb\n", Block{Marker: "m", Content: "new"}, "a\n# BEGIN m\nnew\n# END m\nb\n"},
		{"the same", "# BEGIN m\nx\n# END m", Block{Marker: "m", Content: "x"}, "# BEGIN m\nx\n# END m"},
		{"empty", "# BEGIN m\nx\n# END m\n", Block{Marker: "m"}, "# BEGIN m\n# END m\n"},
		{"absent", "a\n# BEGIN m\nx\n# END m\nb\n", Block{Marker: "m", State: "absent"}, "a\nb\n"},
		{"absent already", "a\n", Block{Marker: "m", State: "absent"}, "a\n"},
		{"the same in a CRLF file", "# BEGIN m\r\nx\r\n# END m\r\n", Block{Marker: "m", Content: "x\n"}, "# BEGIN m\r\nx\r\n# END m\r\n"},
		{"new in a CRLF file", "a\r\nb\r\n", Block{Marker: "m", Content: "x\ny\n"}, "a\r\nb\r\n# BEGIN m\r\nx\r\ny\r\n# END m\r\n"},
		{"replaced in a CRLF file", "# BEGIN m\r\nold\r\n# END m\r\nb\r\n", Block{Marker: "m", Content: "new\n"}, "# BEGIN m\r\nnew\r\n# END m\r\nb\r\n"},
		{"absent in a CRLF file", "a\r\n# BEGIN m\r\nx\r\n# END m\r\n", Block{Marker: "m", State: "absent"}, "a\r\n"},
		{"content from a CRLF file", "a\n", Block{Marker: "m", Content: "x\r\ny\r\n"}, "a\n# BEGIN m\nx\ny\n# END m\n"},
		{"other comments", "", Block{Marker: "m", Comment: ";", Content: "x"}, "; BEGIN m\nx\n; END m\n"},
		{"another block stays", "# BEGIN n\nx\n# END n\n", Block{Marker: "m", Content: "y", InsertBefore: "BOF"}, "# BEGIN m\ny\n# END m\n# BEGIN n\nx\n# END n\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := File{Blocks: []Block{test.block}}
			got, err := modulestest.Decoded(&f).edited(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("the text is wrong (-want +got):\n%s", diff)
			}
		})
	}
	for _, broken := range []string{"# BEGIN m\n", "# END m\n", "# END m\n# BEGIN m\n", "# BEGIN m\n# BEGIN m\n# END m\n"} {
		f := File{Blocks: []Block{{Marker: "m", Content: "x"}}}
		if got, err := modulestest.Decoded(&f).edited(broken); err == nil {
			t.Errorf("%q became %q, expected an error: where the block ends is not known", broken, got)
		}
	}
}

// FuzzEdit checks that editing is idempotent and that no other line is lost.
func FuzzEdit(f *testing.F) {
	f.Add("a\n#Port 1\nb", "Port 22", "^#?Port ", "^a", "x\ny", "m")
	f.Add("", "x", "", "", "", "")
	f.Add("# BEGIN m\nz\n# END m\n", "# END m", "", "", "q", "m")
	f.Fuzz(func(t *testing.T, text, line, re, after, content, marker string) {
		file := File{Path: "/etc/x",
			Lines:  []Line{{Line: line, Regexp: re, InsertAfter: after}},
			Blocks: []Block{{Marker: marker, Content: content, InsertBefore: after}}}
		if modulestest.Decoded(&file).Validate() != nil {
			return
		}
		once, err := file.edited(text)
		if err != nil {
			return
		}
		twice, err := file.edited(once)
		if err != nil || twice != once {
			t.Errorf("editing %q gave %q, and again %q (error %v)", text, once, twice, err)
		}
		if !strings.Contains("\n"+once, "\n"+line) {
			t.Errorf("the line %q is not in %q", line, once)
		}
	})
}
