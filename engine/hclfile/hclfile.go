// Package hclfile reads HCL that people wrote, and rejects at once what no program could finish: binary data, endless
// files, nesting so deep that reading it would exhaust the stack, and numbers that no memory holds as text.
package hclfile

import (
	"bytes"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/localfile"
)

// Largest is the most bytes that Read reads of a file.
const Largest = 64 << 20

// Read reads a file of at most Largest bytes. What could be waited for without end is refused; see localfile.
func Read(path string) ([]byte, error) { return localfile.Read(path, Largest) }

// Parse parses a file. Of several errors of syntax it reports the first one: the others mostly follow from
// it. The file is never nil, so that diagnostics can show its lines. Lines that end in CRLF are read as if they
// ended in LF: the carriage returns would otherwise stand in heredocs, and so in files on hosts.
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

// ParseTemplate parses a template, as Parse does a file.
func ParseTemplate(src []byte, name string) (hclsyntax.Expression, hcl.Diagnostics) {
	if d := checkTokens(src, name, hclsyntax.LexTemplate); d != nil {
		return nil, hcl.Diagnostics{d}
	}
	return bounded(hclsyntax.ParseTemplate(src, name, hcl.InitialPos))
}

// ParseExpression parses an expression, as Parse does a file.
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

// first is the first error in the order of the source, with all that is no error.
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

// Check says why a file cannot be HCL; nil if it may be.
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
	// Errors of the lexer are the parser's to tell.
	tokens, _ := lex(src, name, hcl.InitialPos)
	if at := tooDeep(tokens); at != nil {
		return refusal(*at, "nested too deeply", "Nobody writes this by hand. Take it apart: give its parts names in locals.")
	}
	return nil
}

func refusal(at hcl.Range, summary, detail string) *hcl.Diagnostic {
	return &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: detail, Subject: &at}
}

// binary is the place of the first byte that text does not have; -1 if there is none.
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

// position is a byte of a source as HCL says it.
func position(src []byte, at int, name string) hcl.Range {
	line := bytes.LastIndexByte(src[:at], '\n') + 1
	pos := hcl.Pos{Line: bytes.Count(src[:at], []byte("\n")) + 1, Column: utf8.RuneCount(src[line:at]) + 1, Byte: at}
	return hcl.Range{Filename: name, Start: pos, End: hcl.Pos{Line: pos.Line, Column: pos.Column + 1, Byte: at + 1}}
}

// How much stands within each other. The parser, and all that walks through what it makes, goes as deep as
// brackets are nested, and as deep as operators follow each other without a comma or the end of a line.
const (
	deepestBrackets = 1000
	longestChain    = 20_000
)

// mayBeDeep says that a source has enough brackets or operators for what is not allowed, wherever they stand: most have
// not, and are not taken apart twice. Every token that tooDeep counts has a byte that is counted here, but for the end
// of a heredoc, whose beginning has two, and the end of a line in a quoted string, which is an error of its own.
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

// tooDeep is the first token that is nested deeper than is allowed; nil if there is none.
func tooDeep(tokens hclsyntax.Tokens) *hcl.Range {
	type level struct {
		lines bool // the end of a line ends what is written there
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
