package bytesize

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]int64{
		"1MiB": 1 << 20, "1.5 TiB": 3 << 39, "500GB": 500e9, "2tb": 2e12, "1.000001MB": 0, "10": 0, "10KiB": 0, "-1GiB": 0, "9999999TiB": 0, "": 0, "GiB": 0,
	} {
		if got, err := Parse(text); got != want || (err == nil) != (want > 0) {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
}

func TestFormat(t *testing.T) {
	for bytes, want := range map[int64]string{3 << 39: "1.5 TiB", 100 << 20: "100 MiB", 4 << 30: "4 GiB", 1000: "1000 B", 1025 << 20: "1 GiB"} {
		if got := Format(bytes); got != want {
			t.Errorf("%d is %q, want %q", bytes, got, want)
		}
	}
}
