package lsp

import (
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
)

// at returns the position of a byte of a text.
func at(text string, offset int) position {
	offset = min(max(offset, 0), len(text))
	line := strings.Count(text[:offset], "\n")
	begin := strings.LastIndexByte(text[:offset], '\n') + 1
	return position{line, units(text[begin:offset])}
}

// units returns the length of a text in UTF-16.
func units(text string) int {
	n := 0
	for _, r := range text {
		if n++; r > 0xffff {
			n++
		}
	}
	return n
}

// offset returns the byte of a text at a position. A position past the end of its line, or of the text, is that end.
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

// spanOf returns a range of HCL in a text. What it covers of the text counts: an empty range is extended to a character, so that
// an editor shows it.
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

// lines makes the text of an editor one with LF, as hclfile.Parse reads it: offsets then agree, and lines and columns do anyway.
func lines(text string) string { return strings.ReplaceAll(text, "\r\n", "\n") }
