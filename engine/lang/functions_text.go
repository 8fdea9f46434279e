package lang

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// textFunction returns a function whose parameters are strings.
func textFunction(want cty.Type, f func(args []string) (cty.Value, error), names ...string) function.Function {
	params := make([]function.Parameter, len(names))
	for i, name := range names {
		params[i] = function.Parameter{Name: name, Type: cty.String}
	}
	return function.New(&function.Spec{
		Params: params,
		Type:   function.StaticReturnType(want),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			texts := make([]string, len(args))
			for i, arg := range args {
				texts[i] = arg.AsString()
			}
			return f(texts)
		},
	})
}

// predicate returns a function that compares two strings.
func predicate(holds func(s, other string) bool, other string) function.Function {
	return textFunction(cty.Bool, func(a []string) (cty.Value, error) {
		return cty.BoolVal(holds(a[0], a[1])), nil
	}, "string", other)
}

var (
	startsWithFunc  = predicate(strings.HasPrefix, "prefix")
	endsWithFunc    = predicate(strings.HasSuffix, "suffix")
	strContainsFunc = predicate(strings.Contains, "substring")
)

var replaceFunc = textFunction(cty.String, func(a []string) (cty.Value, error) {
	text, old, replacement := a[0], a[1], a[2]
	if len(old) < 2 || !strings.HasPrefix(old, "/") || !strings.HasSuffix(old, "/") {
		return cty.StringVal(strings.ReplaceAll(text, old, replacement)), nil
	}
	re, err := regexp.Compile(old[1 : len(old)-1])
	if err != nil {
		return cty.NilVal, function.NewArgError(1, err)
	}
	return cty.StringVal(re.ReplaceAllString(text, replacement)), nil
}, "string", "substring", "replacement")

var base64EncodeFunc = textFunction(cty.String, func(a []string) (cty.Value, error) {
	return cty.StringVal(base64.StdEncoding.EncodeToString([]byte(a[0]))), nil
}, "string")

var base64DecodeFunc = textFunction(cty.String, func(a []string) (cty.Value, error) {
	raw, err := base64.StdEncoding.DecodeString(a[0])
	if err != nil {
		return cty.NilVal, function.NewArgError(0, errors.New("the string is not Base64"))
	}
	if !utf8.Valid(raw) {
		return cty.NilVal, function.NewArgError(0, errors.New("the decoded content is not UTF-8 text, and strings hold only text"))
	}
	return cty.StringVal(string(raw)), nil
}, "string")

var sha256Func = textFunction(cty.String, func(a []string) (cty.Value, error) {
	sum := sha256.Sum256([]byte(a[0]))
	return cty.StringVal(hex.EncodeToString(sum[:])), nil
}, "string")

var sha512Func = textFunction(cty.String, func(a []string) (cty.Value, error) {
	sum := sha512.Sum512([]byte(a[0]))
	return cty.StringVal(hex.EncodeToString(sum[:])), nil
}, "string")
