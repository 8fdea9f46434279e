package lsp

import (
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// at returns the position of a byte offset in a text.
func at(text string, offset int) position {
	offset = min(max(offset, 0), len(text))
	line := strings.Count(text[:offset], "\n")
	begin := strings.LastIndexByte(text[:offset], '\n') + 1
	return position{line, units(text[begin:offset])}
}

// units returns the length of a text in UTF-16 code units.
func units(text string) int {
	n := 0
	for _, r := range text {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

// offset returns the byte offset of a position in a text. A position past the end of its line, or of the text, means
// that end.
func offset(text string, p position) int {
	begin := 0
	for range p.Line {
		i := strings.IndexByte(text[begin:], '\n')
		if i < 0 {
			return len(text)
		}
		begin += i + 1
	}
	n := 0
	for i, r := range text[begin:] {
		if r == '\n' || n >= p.Character {
			return begin + i
		}
		if n++; r > 0xffff {
			n++
		}
	}
	return len(text)
}

// spanOf converts an HCL range in a text. An empty range is extended to one character, so that editors show it.
func spanOf(text string, r hcl.Range) span {
	start, end := min(r.Start.Byte, len(text)), min(r.End.Byte, len(text))
	if end <= start {
		end = start
		if start < len(text) && text[start] != '\n' {
			_, size := utf8.DecodeRuneInString(text[start:])
			end += size
		}
	}
	return span{at(text, start), at(text, end)}
}

// lines converts an editor's text to LF line endings, as hclfile.Parse reads it, so that offsets agree. Lines and
// columns agree anyway.
func lines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }
