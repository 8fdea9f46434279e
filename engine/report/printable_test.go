package report

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// Text from a host cannot reorder or hide what is shown, in text or in JSON, and a program that parses the JSON gets
// the original text.
func TestUnseenCharactersAreEscaped(t *testing.T) {
	for _, c := range []rune{0x202e, 0x202a, 0x2066, 0x2069, 0x200b, 0x200d, 0x200e, 0x061c, 0xfeff, 0x00ad, 0x2060, 0x180e, 0x2028, 0x3164, 0xe0041, 0x9b} {
		said := "a" + string(c) + "b"
		e := TaskResult{Play: "p", Task: said, Host: "h", Status: Failed, Message: said, Output: said}
		var plain, asJSON bytes.Buffer
		for _, r := range []Reporter{NewPlain(&plain, Options{}), NewJSON(&asJSON, Options{})} {
			r.Report(e)
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for name, got := range map[string]string{"text": plain.String(), "JSON": asJSON.String()} {
			if strings.ContainsRune(got, c) || c != 0x9b && !strings.Contains(got, "a"+escape(c)+"b") {
				t.Errorf("U+%04X: the %s is %q", c, name, got)
			}
		}
		var task taskJSON
		if err := json.Unmarshal(asJSON.Bytes(), &task); err != nil || task.Message != said {
			t.Errorf("U+%04X: JSON is read as %q (%v), want %q", c, task.Message, err, said)
		}
	}
}
