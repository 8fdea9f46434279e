package session

import (
	"net/netip"
	"testing"

	"hlplay/engine/remote"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]Session{
		"192.0.2.1 50000 192.0.2.11 22\n":           {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.11"), 22},
		"fe80::1%eth0 50000 fe80::2%eth0 2222\n":    {netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2"), 2222},
		"::ffff:192.0.2.1 5 ::ffff:192.0.2.11 22\n": {netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.11"), 22},
		"\n": {},
	} {
		if got := Parse(remote.Answer{Stdout: []byte(text)}); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}
