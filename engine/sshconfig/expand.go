package sshconfig

import (
	"os"
	"strings"
)

// Expand replaces the tokens in a value of the setting, such as %h, and replaces %% with a percent sign.
func (s Setting) Expand(value string, tokens map[byte]string) (string, error) {
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			out.WriteByte(value[i])
			continue
		}
		if i++; i == len(value) {
			return "", s.Errorf("%q ends with %%; write %%%% for a percent sign", value)
		}
		text, ok := tokens[value[i]]
		switch {
		case value[i] == '%':
			text = "%"
		case !ok:
			return "", s.Errorf("%q: %%%c is not a token here; write %%%% for a percent sign", value, value[i])
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

// Path returns a path in the setting, with ~, tokens and ${NAME} from the environment expanded.
func (s Setting) Path(value, home string, tokens map[byte]string) (string, error) {
	value, err := Tilde(value, home)
	if err != nil {
		return "", s.Errorf("%s: %v", value, err)
	}
	// The environment comes first, so that a token's value is never expanded again.
	if value, err = s.environment(value); err != nil {
		return "", err
	}
	return s.Expand(value, tokens)
}

func (s Setting) environment(value string) (string, error) {
	var out strings.Builder
	for {
		before, rest, ok := strings.Cut(value, "${")
		out.WriteString(before)
		if !ok {
			return out.String(), nil
		}
		name, after, ok := strings.Cut(rest, "}")
		if !ok {
			return "", s.Errorf("${%s: the closing brace is missing", rest)
		}
		text, ok := os.LookupEnv(name)
		if !ok {
			return "", s.Errorf("${%s}: the environment has no such variable", name)
		}
		out.WriteString(strings.ReplaceAll(text, "%", "%%"))
		value = after
	}
}
