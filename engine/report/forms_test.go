package report

import (
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"html"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclwrite"
	yaml "github.com/zclconf/go-cty-yaml"
	"github.com/zclconf/go-cty/cty"
	"mvdan.cc/sh/v3/syntax"
)

// broken breaks a text into lines of the given length, each after an indent.
func broken(s string, columns int, end, indent string) string {
	var lines []string
	for ; len(s) > columns; s = s[columns:] {
		lines = append(lines, s[:columns])
	}
	return strings.Join(append(lines, s), end+indent)
}

// In whatever form hlplay or a program on a host prints a secret, nothing of it is left in the output.
func TestRedactorKnowsForms(t *testing.T) {
	secrets := map[string]string{
		"a word":         "hunter2",
		"three bytes":    "x9q",
		"signs":          "pä ss'w<o>rd\"$1${x}%{y}\\&/+`%20!é",
		"a long token":   strings.Repeat("0123456789abcdefghij/+", 12),
		"bytes":          "\xff\xfe\xfdAB\x01\x02",
		"several lines":  "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END KEY-----\n",
		"a line's break": "the first\nthe second",
	}
	asJSON := func(s string) string { b, _ := json.Marshal(map[string]string{"k": s}); return string(b) }
	forms := map[string]func(string) string{
		"plain": func(s string) string { return s },
		"JSON":  asJSON,
		"JSON with HTML": func(s string) string {
			var b strings.Builder
			e := json.NewEncoder(&b)
			e.SetEscapeHTML(false)
			_ = e.Encode(s)
			return b.String()
		},
		"JSON in ASCII": func(s string) string { return `"` + asciiJSON(s) + `"` },
		"%q":            strconv.Quote, "%+q": strconv.QuoteToASCII,
		"HCL": func(s string) string { return string(hclwrite.TokensForValue(cty.StringVal(s)).Bytes()) },
		"YAML": func(s string) string {
			if !utf8.ValidString(s) { // strings of the language are always valid, and the library does not terminate otherwise
				return ""
			}
			b, err := yaml.Marshal(cty.ObjectVal(map[string]cty.Value{"k": cty.StringVal(s)}))
			if err != nil {
				return ""
			}
			return string(b)
		},
		"XML": func(s string) string { var b strings.Builder; _ = xml.EscapeText(&b, []byte(s)); return b.String() }, "HTML": html.EscapeString,
		"CSV": func(s string) string {
			var b strings.Builder
			w := csv.NewWriter(&b)
			_ = w.Write([]string{s, "x"})
			w.Flush()
			return b.String()
		},
		"POSIX shell": func(s string) string { w, _ := syntax.Quote(s, syntax.LangPOSIX); return "echo " + w },
		"bash":        func(s string) string { w, _ := syntax.Quote(s, syntax.LangBash); return "echo " + w },
		"single quotes": func(s string) string {
			return "'a " + strings.ReplaceAll(s, "'", `'\''`) + " b'"
		},
		"query": url.QueryEscape, "path": url.PathEscape, "lower query": func(s string) string { return lowerEscapes(url.QueryEscape(s)) },
		"user of a URL": func(s string) string {
			return (&url.URL{Scheme: "https", User: url.UserPassword("u", s), Host: "h"}).String()
		},
		"base64":              func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) },
		"base64, URL":         func(s string) string { return base64.URLEncoding.EncodeToString([]byte(s)) },
		"base64, unpadded":    func(s string) string { return base64.RawStdEncoding.EncodeToString([]byte(s)) },
		"base64, RawURL":      func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) },
		"base64, 76 columns":  func(s string) string { return broken(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n", "") },
		"base64, 64 and CRLF": func(s string) string { return broken(base64.StdEncoding.EncodeToString([]byte(s)), 64, "\r\n", "") },
		"base64, indented":    func(s string) string { return broken(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n", "    ") },
		"base64, 7 columns":   func(s string) string { return broken(base64.StdEncoding.EncodeToString([]byte(s)), 7, "\n", "") },
		"base64 lines in JSON": func(s string) string {
			return asJSON(broken(base64.StdEncoding.EncodeToString([]byte(s)), 76, "\n", ""))
		},
		"base64 of JSON":     func(s string) string { return base64.StdEncoding.EncodeToString([]byte(asJSON(s))) },
		"hex":                func(s string) string { return hex.EncodeToString([]byte(s)) },
		"HEX":                func(s string) string { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"hex, 60 columns":    func(s string) string { return broken(hex.EncodeToString([]byte(s)), 60, "\n", "") },
		"hex, colons":        func(s string) string { return strings.ReplaceAll(fmt.Sprintf("% x", s), " ", ":") },
		"hex, spaces":        func(s string) string { return fmt.Sprintf("% X", s) },
		"hex, 0x":            func(s string) string { return fmt.Sprintf("% #x", s) },
		`hex, \x`:            func(s string) string { return `\x` + strings.ReplaceAll(fmt.Sprintf("% x", s), " ", `\x`) },
		"percent":            func(s string) string { return "%" + strings.ReplaceAll(fmt.Sprintf("% X", s), " ", "%") },
		"title of a command": func(s string) string { return strings.ReplaceAll(s, "\n", "⏎") },
		"octal":              func(s string) string { return escaped(s, `\%03o`) },
		"journal":            func(s string) string { return escaped(s, `\x%02x`) },
	}
	for before := range 4 {
		forms[fmt.Sprintf("base64 behind %d bytes", before)] = func(s string) string {
			return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before) + s + ":v"))
		}
		forms[fmt.Sprintf("hex behind %d digits", before)] = func(s string) string {
			return strings.Repeat("0", before) + hex.EncodeToString([]byte(s+"v"))
		}
	}
	for kind, secret := range secrets {
		r := NewRedactor()
		r.Add(secret)
		for name, form := range forms {
			text := form(secret)
			if !utf8.ValidString(secret) && !strings.HasPrefix(name, "base64") && !strings.HasPrefix(name, "hex") || strings.TrimSpace(text) == "echo" {
				continue // not text, or the form cannot represent it
			}
			if name == "base64 of JSON" && !utf8.ValidString(secret) {
				continue
			}
			got := r.String("<< " + text + " >>")
			if !strings.HasPrefix(got, "<< ") || !strings.HasSuffix(got, " >>") {
				t.Errorf("%s: %s: what is around it was replaced: %q became %q", kind, name, text, got)
			}
			left := strings.TrimSpace(strings.ReplaceAll(got, Redacted, ""))
			for n := 7; n <= len(text); n++ { // look for parts of it that are longer than the text around it
				if strings.Contains(left, text[n-7:n]) && !harmless(text[n-7:n]) {
					t.Errorf("%s: %s: %q is left of %q: %q", kind, name, text[n-7:n], text, got)
					break
				}
			}
			if !strings.Contains(got, Redacted) && text != "" {
				t.Errorf("%s: %s: nothing of %q is hidden", kind, name, text)
			}
		}
	}
}

// What programs on a host print: each case is their real output.
func TestRedactorKnowsWhatProgramsPrint(t *testing.T) {
	const secret = `p/s'w <d>"$(x)&!`
	r := NewRedactor()
	r.Add(secret)
	for program, text := range map[string]string{
		"bash: printf %q":          `p/s\'w\ \<d\>\"\$\(x\)\&\!`,
		"bash: set -x":             `'p/s'\''w <d>"$(x)&!'`,
		"python: repr":             `'p/s\'w <d>"$(x)&!'`,
		"python: quote":            `p/s%27w%20%3Cd%3E%22%24%28x%29%26%21`,
		"python: quote, safe=''":   `p%2Fs%27w%20%3Cd%3E%22%24%28x%29%26%21`,
		"python: html.escape":      `p/s&#x27;w &lt;d&gt;&quot;$(x)&amp;!`,
		"php: json_encode":         `"p\/s'w <d>\"$(x)&!"`,
		"node: encodeURIComponent": `p%2Fs'w%20%3Cd%3E%22%24(x)%26!`,
		"systemd-escape":           `p-s\x27w\x20\x3cd\x3e\x22\x24\x28x\x29\x26\x21`,
		"escapes in lower case":    `p%2fs%27w%20%3cd%3e%22%24%28x%29%26%21`,
	} {
		got := r.String("<< " + text + " >>")
		left := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(got, "<< "), " >>"), `'"`)
		if left != Redacted {
			t.Errorf("%s: %s became %s", program, text, got)
		}
	}
}

// What programs print of a secret with control characters: each case is their real output, but for the wider marks.
func TestRedactorKnowsControlCharacters(t *testing.T) {
	const secret = "p\tq\x1b[r\"'s\\t\x7fué v\u0085w"
	r := NewRedactor()
	r.Add(secret, "\t\x1b\x01", "correct-horse")
	for program, text := range map[string]string{
		"bash: printf %q": `$'p\tq\E[r"\'s\\t\177ué v\302\205w'`,
		"ls":              `'p'$'\t''q'$'\033''[r"'\''s\t'$'\177''ué v'$'\302\205''w'`,
		"ls -b":           `p\tq\033[r"'s\\t\177ué\ v\302\205w`,
		"ls -Q":           `"p\tq\033[r\"'s\\t\177ué v\302\205w"`,
		"find -ls":        `p\tq\033[r\"'s\\t\177u\303\251\ v\302\205w`,
		"cat -v":          "p\tq^[[r\"'s\\t^?uM-CM-) vM-BM-^Ew",
		"cat -A":          `p^Iq^[[r"'s\t^?uM-CM-) vM-BM-^Ew`,
		"sed -n l":        "p\\tq\\\n\\033\\\n[r\"'\\\ns\\\\t\\\n\\177\\\nu\\\n\\303\\\n\\251\\\n v\\\n\\302\\\n\\205w",
		"systemd-escape":  `p\x09q\x1b\x5br\x22\x27s\x5ct\x7fu\xc3\xa9\x20v\xc2\x85w`,
		"python: repr":    `'p\tq\x1b[r"\'s\\t\x7fué v\x85w'`,
		"python: ascii":   `'p\tq\x1b[r"\'s\\t\x7fu\xe9 v\x85w'`,
		"python: bytes":   `b'p\tq\x1b[r"\'s\\t\x7fu\xc3\xa9 v\xc2\x85w'`,
		"python: json":    `"p\tq\u001b[r\"'s\\t\u007fu\u00e9 v\u0085w"`,
		"jq":              `"p\tq\u001b[r\"'s\\t\u007fué v` + "\u0085" + `w"`,
		"jq: @sh":         `"'p\tq\u001b[r\"'\\''s\\t\u007fué v` + "\u0085" + `w'"`,
		"jq: @json":       `"\"p\\tq\\u001b[r\\\"'s\\\\t\\u007fué v` + "\u0085" + `w\""`,
		"perl: Dumper":    `"p\tq\e[r\"'s\\t\177u\303\251 v\302\205w"`,
		"perl: Latin 1":   `"p\tq\e[r\"'s\\t\177u\351 v\205w"`,
		"perl: wide":      `"p\tq\e[r\"'s\\t\177u\x{e9} v\x{85}w"`,
		"perl: quotemeta": "p\\\tq\\\x1b\\[r\\\"\\'s\\\\t\\\x7fué\\ v\u0085w",
		"JSON of tabs":    `"p\u0009q\u001B[r\u0022\u0027s\u005Ct\u007Fu\u00E9\u0020v\u0085w"`,
		"YAML":            `"p\tq\e[r\"'s\\t\x7Fué v\x85w"`,
		"nothing else":    `\t\033\001`,
		"JSON, only":      `"\t\u001b\u0001"`,
		"quotemeta":       `correct\-horse`,
		"in two lines":    "correct-\\\nhorse",
	} {
		got := r.String("<< " + text + " >>")
		left := strings.Trim(strings.TrimSuffix(strings.TrimPrefix(got, "<< "), " >>"), `$b\'"`)
		if left != Redacted {
			t.Errorf("%s: %s became %s", program, text, got)
		}
	}
}

// ls keeps a backslash outside of $'…' as it is, so that only its own notation finds these.
func TestRedactorKnowsQuotesOfLs(t *testing.T) {
	for secret, text := range map[string]string{
		"a\\t\t'b":          `'a\t'$'\t'\''b'`,
		"\\'\t\\t":          `'\'\'''$'\t''\t'`,
		"\\x\xff\xfe\\b":    `'\x'$'\377\376''\b'`,
		"\\xé\\b\x1b":       `'\x'$'\303\251''\b'$'\033'`, // LC_ALL=C
		"\ttab\\n in front": `''$'\t''tab\n in front'`,
	} {
		r := NewRedactor()
		r.Add(secret)
		if got := strings.Trim(r.String(text), "'"); got != Redacted {
			t.Errorf("%q: %s became %s", secret, text, got)
		}
	}
}

// Text with escape sequences that hides no secret is left alone, however broken they are.
func TestRedactorLeavesOtherEscapes(t *testing.T) {
	r := NewRedactor()
	r.Add("it's\ta secret", "'yes'", "\xff\xfe\xfd", "😀 smile")
	for _, text := range []string{
		`\`, `a\`, `\x`, `\xg`, `\x{`, `\x{}`, `\x{e9`, `\u12`, `\ud83d`, `\ud83d\u`, `\U0001f60`, `\x{ffffff}`, `\777`, `\8`, "\\\n",
		`it's\na secret`, `yes\n`, `say "yes"\n`, `'yes`, `C:\temp\new`,
	} {
		if got := r.String(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	for _, text := range []string{`\ud83d\ude00 smile`, `\U0001F600 smile`, `\u{1f600} smile`, `\360\237\230\200 smile`} {
		if got := r.String(text); got != Redacted {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// A secret without signs has one form more: in a name of a unit, where systemd-escape writes its hyphens as \x2d.
func TestRedactorKnowsHyphensInUnits(t *testing.T) {
	r := NewRedactor()
	r.Add("correct-horse", ".hidden")
	for text, want := range map[string]string{
		`mnt-correct\x2dhorse.mount`: "mnt-(sensitive).mount", "correct-horse": Redacted, `\x2ehidden`: Redacted,
	} {
		if got := r.String(text); got != want {
			t.Errorf("%s became %s, want %s", text, got, want)
		}
	}
}

// harmless returns what surrounds a secret in some of the forms.
func harmless(s string) bool {
	for _, around := range []string{"https://u:@h", "eyJrIjoi", "<< \"k\": |-\n   -\n  "} {
		if strings.Contains(around, s) {
			return true
		}
	}
	return strings.Trim(s, "0u=\\nr#xA; \n\"k:|-") == ""
}

// Text that only looks like digits is left alone.
func TestRedactorLeavesOtherDigits(t *testing.T) {
	r := NewRedactor()
	r.Add("hunter2", "correct horse battery staple")
	for _, text := range []string{
		"", "=", "\\", "0x", "a\\", "a \n", "\n\n", "0", "00x", "deadbeef", "de:ad:be:ef", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB",
		"kernel settings for Ceph\nare as they were\n", "aHVudGVy", "68756e746572", base64.StdEncoding.EncodeToString([]byte("hunter3")),
	} {
		if got := r.String(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}
