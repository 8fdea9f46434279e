package lang

import (
	"bytes"
	"regexp"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hlplay/engine/pattern"
)

// withheld is used in a diagnostic where HCL's own text could quote a secret.
const withheld = "The line is not shown, because a file of values may hold secrets. Expected lines of the form name = value, with text in quotes."

var (
	variableBegins  = regexp.MustCompile(`(?m)^[ \t]*variable\b`)
	blockBegins     = regexp.MustCompile(`(?m)^[ \t]*(variable|locals|play|import|task|handler)\b`)
	sensitiveFlag   = regexp.MustCompile(`\bsensitive[ \t]*=[ \t]*([^ \t\r\n}]*)`)
	defaultArgument = regexp.MustCompile(`\bdefault\b`)
	validationBlock = regexp.MustCompile(`(?m)^[ \t]*validation[ \t]*\{`)
	sensitiveCall   = regexp.MustCompile(`(^|[^\w-])sensitive[ \t]*\(`)
	quotation       = pattern.New("\"(\\\\.|[^\"\\\\])*\"|'(\\\\.|[^'\\\\])*'|`[^`]*`")
)

// unquoted removes quoted text from a message.
func unquoted(said string) string { return quotation.ReplaceAllString(said, "(not shown)") }

// secretLine reports whether the line of a source that contains a byte may hold something sensitive: the default of a
// sensitive variable, or the argument of sensitive(). It examines the text rather than the parser's result, because
// lines are shown mostly when the parser failed. If in doubt, it returns true.
func secretLine(src []byte, at int) bool {
	begin := bytes.LastIndexByte(src[:at], '\n') + 1
	end := len(src)
	if i := bytes.IndexByte(src[at:], '\n'); i >= 0 {
		end = at + i
	}
	return sensitiveCall.Match(src[begin:end]) || inSensitiveDefault(src, begin, end) || inSensitiveCall(src, begin, end)
}

// inSensitiveDefault assumes that a variable extends from its first line to the next block, and its default to the end
// of the variable or to its validations: if a quote or bracket is missing, that is the best guess.
func inSensitiveDefault(src []byte, begin, end int) bool {
	for _, block := range variableBegins.FindAllIndex(src[:end], -1) {
		last := len(src)
		if next := blockBegins.FindIndex(src[block[1]:]); next != nil {
			last = block[1] + next[0]
		}
		text := src[block[0]:last]
		value := defaultArgument.FindIndex(text)
		if value == nil || end <= block[0]+value[0] {
			continue
		}
		if validation := validationBlock.FindIndex(text[value[1]:]); validation != nil {
			last = block[0] + value[1] + validation[0]
		}
		if begin >= last {
			continue
		}
		if flag := sensitiveFlag.FindSubmatch(text); flag != nil && string(flag[1]) != "false" {
			return true
		}
	}
	return false
}

func inSensitiveCall(src []byte, begin, end int) bool {
	if !sensitiveCall.Match(src[:end]) {
		return false
	}
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].Type != hclsyntax.TokenIdent || string(tokens[i].Bytes) != "sensitive" || tokens[i+1].Type != hclsyntax.TokenOParen {
			continue
		}
		from := tokens[i].Range.Start.Byte
		if from >= end {
			return false
		}
		depth := 0
		for i++; i < len(tokens); i++ {
			switch tokens[i].Type {
			case hclsyntax.TokenOParen:
				depth++
			case hclsyntax.TokenCParen:
				depth--
			}
			if depth == 0 {
				break
			}
		}
		if i == len(tokens) || tokens[i].Range.End.Byte > begin {
			return true
		}
	}
	return false
}
