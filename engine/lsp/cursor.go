package lsp

import (
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// block is a block around the cursor.
type block struct {
	kind   string
	labels []string
	// has holds the names of the block's arguments before the cursor.
	has map[string]bool
}

// cursor is the context of a position in a text. It is derived from the tokens before the position, so that errors
// elsewhere do not matter.
type cursor struct {
	blocks []block // outermost first
	// argument is the argument whose value contains the position; it is empty at the beginning of a line.
	argument string
	// path is the name before the position, split at its dots. The last part is incomplete and may be empty. It is nil
	// within text.
	path []string
	// header is set after the first word of a line that is not an argument (yet).
	header []string
	// quoted is set within quoted text or a heredoc; word is then that text.
	quoted bool
	// word is what completion replaces, and start the offset of its first byte.
	word  string
	start int
	// comment is set within a comment.
	comment bool
}

// kinds returns the types of the blocks around the cursor.
func (c cursor) kinds() []string {
	all := make([]string, len(c.blocks))
	for i, b := range c.blocks {
		all[i] = b.kind
	}
	return all
}

// play returns the name of the play around the cursor, or "".
func (c cursor) play() string {
	if len(c.blocks) > 0 && c.blocks[0].kind == "play" && len(c.blocks[0].labels) > 0 {
		return c.blocks[0].labels[0]
	}
	return ""
}

// frame is a block, bracket or text that is still open before the cursor.
type frame struct {
	open  hclsyntax.TokenType // the token that opened it; TokenNil for the file
	block bool
	path  []string // the name before an index
}

// scanner tracks the context while it scans tokens.
type scanner struct {
	cursor
	frames []frame
	begin  []string // names and labels since the beginning of the line, in a body
	label  bool     // within the quotes of a label
	text   int      // offset at which the innermost text begins
	name   []string // the dotted name that ends with the last token; its last part is empty after a dot
}

// mostBroken limits how many unclosed quotes are skipped.
const mostBroken = 64

// locate returns the cursor at a byte offset in a text.
func locate(text string, place int) cursor {
	s := &scanner{frames: []frame{{}}}
	src := []byte(text[:place])
	from := 0
	for range mostBroken {
		tokens, _ := hclsyntax.LexConfig(src[from:], "", hcl.Pos{Line: 1, Column: 1, Byte: from})
		broken := slices.IndexFunc(tokens, func(t hclsyntax.Token) bool { return t.Type == hclsyntax.TokenQuotedNewline })
		if broken < 0 {
			s.scan(tokens)
			break
		}
		s.scan(tokens[:broken])
		for s.top().open == hclsyntax.TokenOQuote || s.top().open == hclsyntax.TokenTemplateInterp {
			s.pop()
		}
		s.newline()
		from = tokens[broken].Range.End.Byte
	}
	return s.at(src)
}

func (s *scanner) top() *frame { return &s.frames[len(s.frames)-1] }

func (s *scanner) push(open hclsyntax.TokenType) { s.frames = append(s.frames, frame{open: open}) }

func (s *scanner) pop() {
	if len(s.frames) == 1 {
		return
	}
	if s.top().block {
		s.blocks = s.blocks[:len(s.blocks)-1]
	}
	s.frames = s.frames[:len(s.frames)-1]
}

// closeTo pops frames up to and including the innermost one that one of the tokens opened. It does nothing if there is
// no such frame in the innermost block.
func (s *scanner) closeTo(open ...hclsyntax.TokenType) {
	for i := len(s.frames) - 1; i > 0; i-- {
		if slices.Contains(open, s.frames[i].open) {
			for len(s.frames) > i {
				s.pop()
			}
			return
		}
		if s.frames[i].block {
			return
		}
	}
}

// inBody reports whether names at the cursor are those of arguments and blocks.
func (s *scanner) inBody() bool { return len(s.frames) == 1 || s.top().block }

func (s *scanner) newline() {
	s.begin, s.name, s.label = nil, nil, false
	if s.inBody() {
		s.argument = ""
	}
}

func (s *scanner) scan(tokens hclsyntax.Tokens) {
	for i, t := range tokens {
		adjacent := i > 0 && tokens[i-1].Range.End.Byte == t.Range.Start.Byte
		s.token(t, adjacent)
	}
}

func (s *scanner) token(t hclsyntax.Token, adjacent bool) {
	text := string(t.Bytes)
	before, begin := s.name, s.begin
	s.name, s.begin = nil, nil
	switch t.Type {
	case hclsyntax.TokenEOF:
		s.name, s.begin = before, begin
	case hclsyntax.TokenNewline, hclsyntax.TokenComment:
		s.comment = !strings.HasSuffix(text, "\n")
		if t.Type == hclsyntax.TokenNewline || strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//") {
			s.newline()
		}
	case hclsyntax.TokenIdent:
		if !s.inBody() || s.argument == "" {
			s.begin = append(begin, text)
		}
		if len(before) > 0 && before[len(before)-1] == "" {
			s.name = append(before[:len(before)-1:len(before)-1], text)
		} else {
			s.name = []string{text}
		}
	case hclsyntax.TokenDot:
		if len(before) > 0 {
			s.name = append(before[:len(before):len(before)], "")
		}
	case hclsyntax.TokenEqual:
		if s.inBody() && s.argument == "" && len(begin) == 1 {
			s.argument = begin[0]
			if len(s.blocks) > 0 {
				s.blocks[len(s.blocks)-1].has[s.argument] = true
			}
		}
	case hclsyntax.TokenOBrace:
		s.brace(begin)
	case hclsyntax.TokenCBrace:
		switch {
		case s.top().block:
			s.pop()
			s.argument = ""
		default:
			s.closeBrace()
		}
	case hclsyntax.TokenOBrack:
		s.push(t.Type)
		if adjacent && len(before) > 0 {
			s.top().path = before
		}
	case hclsyntax.TokenOParen:
		s.push(t.Type)
	case hclsyntax.TokenCBrack:
		var index []string
		if s.top().open == hclsyntax.TokenOBrack && s.top().path != nil {
			index = append(s.top().path[:len(s.top().path):len(s.top().path)], "*")
		}
		s.closeTo(hclsyntax.TokenOBrack)
		s.name = index
	case hclsyntax.TokenCParen:
		s.closeTo(hclsyntax.TokenOParen)
	case hclsyntax.TokenOQuote:
		s.label, s.begin = s.inBody() && s.argument == "", begin
		s.text = t.Range.End.Byte
		s.push(t.Type)
	case hclsyntax.TokenOHeredoc:
		s.text = t.Range.End.Byte
		s.push(t.Type)
	case hclsyntax.TokenCQuote:
		s.closeTo(hclsyntax.TokenOQuote)
		s.label, s.begin = false, begin
	case hclsyntax.TokenCHeredoc:
		s.closeTo(hclsyntax.TokenOHeredoc)
	case hclsyntax.TokenQuotedLit:
		if s.begin = begin; len(begin) > 0 { // a label
			s.begin = append(begin, text)
		}
	case hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
		s.push(hclsyntax.TokenTemplateInterp)
	case hclsyntax.TokenTemplateSeqEnd:
		s.closeTo(hclsyntax.TokenTemplateInterp)
		s.text = t.Range.End.Byte
	}
}

// brace opens a block or an object. After a name, or after names in quotes, a brace opens a block, even if an earlier
// bracket is unclosed.
func (s *scanner) brace(begin []string) {
	if open := s.top().open; len(begin) > 0 && open != hclsyntax.TokenOQuote && open != hclsyntax.TokenTemplateInterp {
		for !s.inBody() {
			s.pop()
		}
		s.argument = ""
		s.push(hclsyntax.TokenOBrace)
		s.top().block = true
		s.blocks = append(s.blocks, block{kind: begin[0], labels: begin[1:], has: map[string]bool{}})
		return
	}
	s.push(hclsyntax.TokenOBrace)
}

// closeBrace closes an object, or the block around an unclosed bracket.
func (s *scanner) closeBrace() {
	for len(s.frames) > 1 {
		last := *s.top()
		s.pop()
		if last.block {
			s.argument = ""
		}
		if last.open == hclsyntax.TokenOBrace {
			return
		}
	}
}

// at returns the cursor after the last token of a text.
func (s *scanner) at(src []byte) cursor {
	c := s.cursor
	switch s.top().open {
	case hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc:
		c.quoted, c.start = true, s.text
		c.word, c.header = string(src[s.text:]), s.begin
		if s.label && len(s.begin) > 1 {
			c.header = s.begin[:1]
		}
		return c
	}
	word := len(src)
	for word > 0 && partOfName(src[word-1]) {
		word--
	}
	c.word, c.start = string(src[word:]), word
	switch touching := len(s.name) > 0 && s.name[len(s.name)-1] == c.word; {
	case touching:
		c.path = s.name
	case c.word == "" && len(s.name) > 0 && s.name[len(s.name)-1] == "":
		c.path = s.name
	default:
		c.path = []string{c.word}
	}
	c.header = s.begin
	if n := len(c.header); n > 0 && c.word != "" {
		c.header = c.header[:n-1]
	}
	return c
}

func partOfName(b byte) bool {
	return b == '_' || b == '-' || b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z'
}
