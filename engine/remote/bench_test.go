package remote

import "testing"

// BenchmarkAsk sends a flight of 1,000 queries to a shell that does next to nothing for each.
func BenchmarkAsk(b *testing.B) {
	c := local()
	defer c.Close()
	queries := make([]Query, 1000)
	for i := range queries {
		queries[i] = Query{Script: `printf '%s\n' "$1" "$2"`, Args: []string{"/etc/network/interfaces.d", "it's one"}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Ask(b.Context(), queries); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAsked does only the part of it that happens before anything is sent.
func BenchmarkAsked(b *testing.B) {
	queries := make([]Query, 1000)
	for i := range queries {
		queries[i] = Query{Script: `printf '%s\n' "$1" "$2"`, Args: []string{"/etc/network/interfaces.d", "it's one"}}
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := calls(queries); err != nil {
			b.Fatal(err)
		}
	}
}
