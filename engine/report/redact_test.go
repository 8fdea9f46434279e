package report

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/syntax"
)

func TestRedactorForms(t *testing.T) {
	secret := "pä ss'w<o>rd\"$1${x}\\&/+\t!"
	r := NewRedactor()
	r.Add(secret)
	asJSON, _ := json.Marshal(map[string]string{"key": secret})
	quoted, err := syntax.Quote(secret, syntax.LangBash)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain":        secret,
		"JSON":         string(asJSON),
		"Go":           fmt.Sprintf("%q", secret),
		"shell":        "echo " + quoted,
		"shell quotes": "'" + strings.ReplaceAll(secret, "'", `'\''`) + "'",
		"query":        "https://pve1/?password=" + url.QueryEscape(secret),
		"path":         "https://pve1/" + url.PathEscape(secret),
		"base64":       base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 URL":   base64.RawURLEncoding.EncodeToString([]byte(secret)),
	} {
		got := r.String("before " + text + " after")
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, Redacted) || strings.Contains(got, "x}") || strings.Contains(got, "x%7D") {
			t.Errorf("%s: %q became %q", name, text, got)
		}
	}
	for before := range 3 { // as in the header of HTTP basic authentication
		text := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("u", before) + ":" + secret + "\n"))
		got := r.String(text)
		if !strings.Contains(got, Redacted) || len(strings.Replace(got, Redacted, "", 1)) > 10 {
			t.Errorf("%d bytes before it: base64 %q became %q", before, text, got)
		}
	}
}

func TestRedactor(t *testing.T) {
	for name, test := range map[string]struct {
		secrets  []string
		in, want string
	}{
		"nothing known":       {nil, "text", "text"},
		"too short":           {[]string{"ab", ""}, "ab", "ab"},
		"longest first":       {[]string{"abc", "abcdef"}, "abcdefg", "(sensitive)g"},
		"overlapping":         {[]string{"abcd", "cdef"}, "xabcdefx", "x(sensitive)x"},
		"repeated":            {[]string{"aaa"}, "aaaaab", "(sensitive)b"},
		"lines":               {[]string{"first line\nend\nsecond line\n"}, "+second line\n-end\n first line", "+(sensitive)\n-end\n (sensitive)"},
		"lines of a Windows":  {[]string{"first line\r\nsecond line"}, "second line", "(sensitive)"},
		"line break at end":   {[]string{"token\n"}, "Bearer token", "Bearer (sensitive)"},
		"indented line":       {[]string{"    deep secret\nother"}, "deep secret", "(sensitive)"},
		"only where it is":    {[]string{"pve"}, "a pve b", "a (sensitive) b"},
		"bytes of any kind":   {[]string{"\xff\xfe\xfd"}, "a\xff\xfe\xfdb", "a(sensitive)b"},
		"same secret twice":   {[]string{"abc", "abc"}, "abc", "(sensitive)"},
		"touching each other": {[]string{"abc", "def"}, "abcdef", "(sensitive)"},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRedactor()
			for _, secret := range test.secrets {
				r.Add(secret)
			}
			if got := r.String(test.in); got != test.want {
				t.Errorf("%q became %q, want %q", test.in, got, test.want)
			}
			if got := string(r.Bytes([]byte(test.in))); got != test.want {
				t.Errorf("bytes: %q became %q, want %q", test.in, got, test.want)
			}
		})
	}
}

// TestRedactorLeavesNothing hides random secrets in random text, with an alphabet that does not occur in Redacted.
func TestRedactorLeavesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "ABC"[random.IntN(3)]
		}
		return string(b)
	}
	for range 2000 {
		r := NewRedactor()
		var secrets []string
		for range 1 + random.IntN(4) {
			secrets = append(secrets, word(3+random.IntN(5)))
			r.Add(secrets[len(secrets)-1])
		}
		text := word(random.IntN(60))
		got := r.String(text)
		for _, secret := range secrets {
			if strings.Contains(got, secret) {
				t.Fatalf("secrets %q: %q became %q, which contains %q", secrets, text, got, secret)
			}
		}
		// What remains is part of the text, in its order.
		rest := text
		for _, kept := range strings.Split(got, Redacted) {
			i := strings.Index(rest, kept)
			if i < 0 {
				t.Fatalf("secrets %q: %q became %q, which has more than was there", secrets, text, got)
			}
			rest = rest[i+len(kept):]
		}
	}
}

func FuzzRedactor(f *testing.F) {
	f.Add("secret", "a secret in a text")
	f.Add("a\nlonger secret\nof lines", "longer secret")
	f.Add("\xff\"'", "\xff")
	f.Fuzz(func(t *testing.T, secret, text string) {
		r := NewRedactor()
		r.Add(secret)
		r.String(text)
		if got := r.String("<<" + secret + ">>"); len(secret) >= shortestSecret && !strings.Contains(got, Redacted) {
			t.Errorf("the secret %q stays in %q", secret, got)
		}
	})
}

// TestRedactEvents sets every string of every event to a secret, to find fields that are added to an event but
// forgotten in redaction.
func TestRedactEvents(t *testing.T) {
	const secret = "hunter2hunter2"
	kept := map[string]bool{"Host": true, "Hosts": true, "Order": true, "Status": true, "Costs": true}
	for _, event := range []Event{RunStarted{}, PlayStarted{}, TaskStarted{}, Progress{}, TaskResult{}, Note{}, Recap{}} {
		value := reflect.New(reflect.TypeOf(event)).Elem()
		fill(value, secret, kept)
		var recorder Recorder
		redactor := NewRedactor()
		redactor.Add(secret)
		before := fmt.Sprintf("%+v", value.Interface())
		r := Redact(&recorder, redactor)
		r.Report(value.Interface().(Event))
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if after := fmt.Sprintf("%+v", value.Interface()); after != before {
			t.Errorf("%T: redacting changed the event of the sender: %s", event, after)
		}
		if got := fmt.Sprintf("%+v", recorder.Events()); strings.Contains(got, secret) {
			t.Errorf("%T keeps a secret: %s", event, got)
		}
	}
}

// fill sets all strings within a value, except those in fields that are kept.
func fill(v reflect.Value, s string, kept map[string]bool) {
	switch v.Kind() {
	case reflect.String:
		v.SetString("x " + s)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i), s, kept)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if !kept[v.Type().Field(i).Name] {
				fill(v.Field(i), s, kept)
			}
		}
	}
}

func TestRedactorConcurrently(t *testing.T) {
	r := NewRedactor()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			secret := fmt.Sprintf("secret number %d", i)
			r.Add(secret)
			if got := r.String(secret); got != Redacted {
				t.Errorf("%q became %q", secret, got)
			}
		})
	}
	group.Wait()
}

func TestRecorder(t *testing.T) {
	var a, b Recorder
	report(t, Tee(&a, &b), sample(false))
	if diff := cmp.Diff(sample(false), a.Events()); diff != "" {
		t.Errorf("events differ:\n%s", diff)
	}
	if len(b.Results()) != 16 {
		t.Errorf("%d results", len(b.Results()))
	}
	if recap, ok := b.Recap(); !ok || recap.Hosts["pve1"].Changed != 3 {
		t.Errorf("recap %v %v", recap, ok)
	}
	if notes := b.Notes(); len(notes) != 1 {
		t.Errorf("notes %v", notes)
	}
}

// A long line is cut after its secrets are replaced: wherever the cut falls, no part of a secret is left there.
func TestLongLinesOfOutputAreCut(t *testing.T) {
	const secret = "hunter2-tr0ub4dor"
	r := NewRedactor()
	r.Add(secret)
	for behind := longestOutputLine - len(secret) - 2; behind <= longestOutputLine+2; behind++ {
		line := strings.Repeat("x", 10_000) + secret + strings.Repeat("y", behind)
		got := r.result(TaskResult{Output: "short\n" + line + "\nlast"}).Output
		if len(got) > longestOutputLine+100 || !strings.HasPrefix(got, "short\n(") || !strings.HasSuffix(got, "y\nlast") || !strings.Contains(got, " bytes before)") {
			t.Fatalf("%d bytes behind the secret: %d bytes: %.80q", behind, len(got), got)
		}
		for n := 4; n < len(secret); n++ {
			if strings.Contains(got, secret[n-4:n]) {
				t.Fatalf("%d bytes behind the secret: a part of it is left", behind)
			}
		}
	}
}
