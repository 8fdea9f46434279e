package lang

import (
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// spread puts each argument and block of HCL written on one line on a line of its own, as HCL requires:
// `service { name = "chrony" state = "restarted" }` has two arguments. Text that is not HCL is left unchanged and
// reported by the parser.
func spread(text string) string {
	tokens, diags := hclsyntax.LexConfig([]byte(text), "", hcl.InitialPos)
	if diags.HasErrors() {
		return text
	}
	var b strings.Builder
	at := 0 // length in bytes of the text written so far
	// blocks records for each open bracket whether it opens a block.
	var blocks []bool
	inBlock := func() bool { return len(blocks) == 0 || blocks[len(blocks)-1] }
	breakBefore := func(t hclsyntax.Token) {
		b.WriteString(text[at:t.Range.Start.Byte])
		b.WriteByte('\n')
		at = t.Range.Start.Byte
	}
	value := false // whether the current tokens belong to a value
	for i, t := range tokens {
		switch t.Type {
		case hclsyntax.TokenNewline:
			if inBlock() {
				value = false
			}
		case hclsyntax.TokenEqual:
			value = value || inBlock()
		case hclsyntax.TokenIdent:
			if inBlock() && begins(tokens[i:]) && (i > 0 && !blockHead(tokens[:i])) {
				breakBefore(t)
				value = false
			}
		case hclsyntax.TokenOBrace:
			blocks = append(blocks, !value && inBlock())
			if blocks[len(blocks)-1] && i+1 < len(tokens) {
				breakBefore(tokens[i+1])
			}
		case hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			blocks = append(blocks, false)
		case hclsyntax.TokenCBrace:
			if len(blocks) > 0 {
				if inBlock() {
					breakBefore(t)
					value = false
				}
				blocks = blocks[:len(blocks)-1]
			}
		case hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenTemplateSeqEnd:
			if len(blocks) > 0 {
				blocks = blocks[:len(blocks)-1]
			}
		}
	}
	b.WriteString(text[at:])
	return b.String()
}

// begins reports whether the tokens begin an argument or a block.
func begins(tokens hclsyntax.Tokens) bool {
	if len(tokens) < 2 {
		return false
	}
	switch tokens[1].Type {
	case hclsyntax.TokenEqual, hclsyntax.TokenOBrace:
		return true
	}
	return false
}

// blockHead reports whether the tokens end with the opening of a block or with a newline.
func blockHead(tokens hclsyntax.Tokens) bool {
	switch tokens[len(tokens)-1].Type {
	case hclsyntax.TokenOBrace, hclsyntax.TokenNewline:
		return true
	}
	return false
}
