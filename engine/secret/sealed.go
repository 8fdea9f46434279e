package secret

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"

	"hlplay/engine/vault"
)

// intro is the beginning of every age file.
const intro = "age-encryption.org/v1\n"

// introBase64 is the beginning of every secret on one line: the Base64 of intro without the newline.
const introBase64 = "YWdlLWVuY3J5cHRpb24ub3JnL3Yx"

// decode returns the age file in a text, which may be binary, armored or Base64.
func decode(sealed []byte) ([]byte, error) {
	if bytes.HasPrefix(sealed, []byte(intro)) {
		return sealed, nil
	}
	text := strings.TrimSpace(string(sealed))
	switch {
	case strings.HasPrefix(text, armor.Header):
		raw, err := io.ReadAll(armor.NewReader(strings.NewReader(outdented(text))))
		if err != nil {
			return nil, fmt.Errorf("its armor is damaged: %s", strings.TrimPrefix(err.Error(), "invalid armor: "))
		}
		return raw, nil
	case strings.HasPrefix(text, introBase64):
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, errors.New("it is damaged: expected Base64 without spaces or line breaks")
		}
		return raw, nil
	case text == "":
		return nil, errors.New("it is empty; expected what `hlplay secret encrypt` prints")
	}
	return nil, fmt.Errorf("it is not encrypted with age or ansible-vault; expected what `hlplay secret encrypt` prints: text that begins with %q or %q", introBase64, armor.Header)
}

// outdented returns a text without spaces at both ends of its lines.
func outdented(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.Join(lines, "\n")
}

// IsFile reports whether the content of a file is encrypted as a whole.
func IsFile(content []byte) bool {
	return bytes.HasPrefix(content, []byte(intro)) || bytes.HasPrefix(bytes.TrimSpace(content), []byte(armor.Header)) || vault.Is(content)
}

// SealValue encrypts a secret and returns it on one line.
func SealValue(text []byte, to []age.Recipient) (string, error) {
	raw, err := encrypt(text, to)
	return base64.StdEncoding.EncodeToString(raw), err
}

// SealFile encrypts the content of a file and returns it armored.
func SealFile(text []byte, to []age.Recipient) ([]byte, error) {
	raw, err := encrypt(text, to)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	w := armor.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func encrypt(text []byte, to []age.Recipient) ([]byte, error) {
	var b bytes.Buffer
	w, err := age.Encrypt(&b, to...)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Sealed is an encrypted secret within the text of a file.
type Sealed struct {
	// Start and End are byte offsets in the text.
	Start, End int
	// Line and LastLine count from 1.
	Line, LastLine int
	// Text is the secret in encrypted form.
	Text []byte
}

var sealedText = regexp.MustCompile(`-----BEGIN AGE ENCRYPTED FILE-----[A-Za-z0-9+/=\s]*-----END AGE ENCRYPTED FILE-----|` + introBase64 + `[A-Za-z0-9+/]*={0,2}`)

// Find returns all secrets in the content of a file of any format.
func Find(content []byte) []Sealed {
	if bytes.HasPrefix(content, []byte(intro)) {
		return []Sealed{{End: len(content), Line: 1, LastLine: 1, Text: content}}
	}
	var all []Sealed
	for _, at := range sealedText.FindAllIndex(content, -1) {
		line := bytes.Count(content[:at[0]], []byte("\n")) + 1
		text := content[at[0]:at[1]]
		all = append(all, Sealed{at[0], at[1], line, line + bytes.Count(text, []byte("\n")), text})
	}
	return all
}

// again encrypts a text in the form that the secret s has in its file: the first line follows whatever precedes s, and
// the other lines are indented like those of s.
func (s Sealed) again(text []byte, to []age.Recipient) ([]byte, error) {
	switch {
	case bytes.HasPrefix(s.Text, []byte(intro)):
		return encrypt(text, to)
	case !bytes.HasPrefix(s.Text, []byte(armor.Header)):
		value, err := SealValue(text, to)
		return []byte(value), err
	}
	armored, err := SealFile(text, to)
	if err != nil {
		return nil, err
	}
	newline := []byte("\n")
	if _, second, ok := bytes.Cut(s.Text, newline); ok {
		newline = append(newline, second[:len(second)-len(bytes.TrimLeft(second, " \t"))]...)
		if bytes.Contains(s.Text, []byte("\r\n")) {
			newline = append([]byte("\r"), newline...)
		}
	}
	return bytes.ReplaceAll(bytes.TrimSpace(armored), []byte("\n"), newline), nil
}
