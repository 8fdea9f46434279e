package report

import (
	"fmt"
	"strings"
	"testing"
)

// lines returns a text of n different lines.
func lines(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "line %d of a file: %064x\n", i, i*2654435761)
	}
	return b.String()
}

// A secret with many lines is added and then replaced in a text that contains it.
func BenchmarkRedactLines(b *testing.B) {
	for _, n := range []int{100, 1000, 3600, 10_000} {
		secret := lines(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := NewRedactor()
				r.Add(secret)
				if got := r.String(secret); strings.Contains(got, "line") {
					b.Fatal("it is shown")
				}
			}
		})
	}
}

// Most of what is reported contains no secret.
func BenchmarkRedactNothing(b *testing.B) {
	r := NewRedactor()
	for i := range 50 {
		r.Add(fmt.Sprintf("password-of-service-%d/%%", i))
	}
	for name, text := range map[string]string{"name": "kernel settings for Ceph", "64KiB": strings.Repeat("a line of a program's output, 42 of 100\n", 1680)} {
		r.String(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.String(text)
			}
		})
	}
}

// Each round of a task brings its own secret.
func BenchmarkRedactRounds(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		r := NewRedactor()
		for i := range 5000 {
			r.Add(fmt.Sprintf("password of user %d", i))
			r.String("create user")
		}
	}
}
