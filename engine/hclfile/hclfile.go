// Package hclfile reads HCL files. Binary, oversized and too deeply nested input is rejected before it is parsed, and
// numbers that are too large to be formatted are rejected afterwards.
package hclfile

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/localfile"
)

// Largest is the size limit of Read, in bytes.
const Largest = 64 << 20

// Read returns the content of a file of at most Largest bytes. It never blocks; see package localfile.
func Read(path string) ([]byte, error) { return localfile.Read(path, Largest) }

// Parse parses a file. If there are several syntax errors, it reports only the first, because the others are usually
// consequences. The file is never nil, so that diagnostics can quote its lines. CRLF is read as LF; otherwise carriage
// returns would end up in heredocs, and so in files on hosts.
func Parse(src []byte, name string) (*hcl.File, hcl.Diagnostics) {
	src = bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))
	if d := Check(src, name); d != nil {
		return &hcl.File{Bytes: src}, hcl.Diagnostics{d}
	}
	file, diags := hclsyntax.ParseConfig(src, name, hcl.InitialPos)
	if file == nil {
		file = &hcl.File{Bytes: src}
	}
	diags = explain(first(diags), src)
	if body, ok := file.Body.(*hclsyntax.Body); ok && !diags.HasErrors() {
		diags = append(diags, largeNumbers(body)...)
	}
	return file, diags
}

// ParseTemplate is like Parse for a template.
func ParseTemplate(src []byte, name string) (hclsyntax.Expression, hcl.Diagnostics) {
	if d := checkTokens(src, name, hclsyntax.LexTemplate); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return bounded(hclsyntax.ParseTemplate(src, name, hcl.InitialPos))
}

// ParseExpression is like Parse for an expression.
func ParseExpression(src []byte, name string) (hclsyntax.Expression, hcl.Diagnostics) {
	if d := checkTokens(src, name, hclsyntax.LexExpression); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return bounded(hclsyntax.ParseExpression(src, name, hcl.InitialPos))
}

func bounded(expr hclsyntax.Expression, diags hcl.Diagnostics) (hclsyntax.Expression, hcl.Diagnostics) {
	if diags = first(diags); !diags.HasErrors() {
		diags = append(diags, largeNumbers(expr)...)
	}
	return expr, diags
}

// first returns the first error in source order, and all diagnostics that are not errors.
func first(diags hcl.Diagnostics) hcl.Diagnostics {
	var least *hcl.Diagnostic
	var rest hcl.Diagnostics
	for _, d := range diags {
		switch {
		case d.Severity != hcl.DiagError:
			rest = append(rest, d)
		case least == nil || d.Subject != nil && least.Subject != nil && d.Subject.Start.Byte < least.Subject.Start.Byte:
			least = d
		}
	}
	if least != nil {
		rest = append(rest, least)
	}
	return rest
}

// Check returns why a file cannot be HCL, or nil if it may be.
func Check(src []byte, name string) *hcl.Diagnostic {
	return checkTokens(src, name, hclsyntax.LexConfig)
}

type lexer func(src []byte, filename string, start hcl.Pos) (hclsyntax.Tokens, hcl.Diagnostics)

func checkTokens(src []byte, name string, lex lexer) *hcl.Diagnostic {
	if at := binary(src); at >= 0 {
		what := "There is a byte here that is not UTF-8 text."
		switch {
		case src[at] == 0:
			what = "There is a NUL byte here."
		case bytes.HasPrefix(src, []byte{0xff, 0xfe}), bytes.HasPrefix(src, []byte{0xfe, 0xff}):
			what = "It looks like UTF-16."
		}
		return refusal(position(src, at, name), "not a text file", what+" Playbooks and inventories are text: save it as UTF-8, or name another file.")
	}
	if !mayBeDeep(src) {
		return nil
	}
	// The parser will report the lexer's errors.
	tokens, _ := lex(src, name, hcl.InitialPos)
	if at := tooDeep(tokens); at != nil {
		return refusal(*at, "nested too deeply", "Simplify it: give its parts names in locals.")
	}
	return nil
}

func refusal(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// binary returns the offset of the first byte that is not text, or -1.
func binary(src []byte) int {
	nul := bytes.IndexByte(src, 0)
	if utf8.Valid(src) {
		return nul
	}
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if r == utf8.RuneError && size == 1 || src[i] == 0 {
			return i
		}
		i += size
	}
	return nul
}

// position returns the HCL range of a byte.
func position(src []byte, at int, name string) hcl.Range {
	line := bytes.LastIndexByte(src[:at], '\n') + 1
	pos := hcl.Pos{Line: bytes.Count(src[:at], []byte("\n")) + 1, Column: utf8.RuneCount(src[line:at]) + 1, Byte: at}
	return hcl.Range{Filename: name, Start: pos, End: hcl.Pos{Line: pos.Line, Column: pos.Column + 1, Byte: at + 1}}
}

// Limits on nesting. The parser, and everything that walks its result, recurses once for each level of brackets, and
// once for each operator that follows another without a comma or newline in between.
const (
	deepestBrackets = 1000
	longestChain    = 20_000
)

// mayBeDeep reports whether a source has enough brackets or operators, anywhere, to exceed the limits. Most sources do
// not, and need not be tokenized twice. Every token that tooDeep counts contains a byte that is counted here, with two
// exceptions: the end of a heredoc, whose start has two, and a newline in a quoted string, which is an error anyway.
func mayBeDeep(src []byte) bool {
	brackets, signs := 0, 0
	for _, c := range src {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == ' ', c == '\n', c == '_', c == '"', c == ',':
		case c == '{', c == '[', c == '(':
			brackets++
			signs++
		default:
			signs++
		}
	}
	return brackets >= deepestBrackets || signs > longestChain
}

// tooDeep returns the range of the first token that exceeds the limits, or nil.
func tooDeep(tokens hclsyntax.Tokens) *hcl.Range {
	type level struct {
		lines bool // whether the end of a line ends the expression
		chain int
	}
	levels := []level{{lines: true}}
	total := 0
	reset := func(l *level) {
		total -= l.chain
		l.chain = 0
	}
	for _, t := range tokens {
		top := &levels[len(levels)-1]
		switch t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			levels = append(levels, level{lines: t.Type == hclsyntax.TokenOBrace})
			if len(levels) > deepestBrackets {
				return &t.Range
			}
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			if len(levels) > 1 {
				reset(top)
				levels = levels[:len(levels)-1]
				top = &levels[len(levels)-1]
			}
			top.chain++ // a call or an index may follow
			total++
		case hclsyntax.TokenComma:
			reset(top)
		case hclsyntax.TokenNewline:
			if top.lines {
				reset(top)
			}
		case hclsyntax.TokenIdent, hclsyntax.TokenNumberLit, hclsyntax.TokenStringLit, hclsyntax.TokenQuotedLit, hclsyntax.TokenOQuote,
			hclsyntax.TokenCQuote, hclsyntax.TokenComment, hclsyntax.TokenEOF:
		default: // operators
			top.chain++
			total++
		}
		if total > longestChain {
			return &t.Range
		}
	}
	return nil
}
