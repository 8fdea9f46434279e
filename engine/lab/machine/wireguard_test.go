package machine

import "testing"

// The public key must be the one that wg(8) 1.0.20210914 prints.
func TestPublicKey(t *testing.T) {
	if got, ok := publicKey("4EXHHMhCzPZJxu+G7y5RM6mkRqbJ7LAC+QzzGNJpZ0c=\n"); !ok || got != "aaaGTf+9077dqg9a+QcaPhDHm8wiX81bSK2KnDLHbF8=" {
		t.Errorf("%q, %v; expected what wg pubkey prints", got, ok)
	}
	for _, wrong := range []string{"", "bad", "aGVsbG8="} {
		if got, ok := publicKey(wrong); ok {
			t.Errorf("%q has the public key %q; expected none", wrong, got)
		}
	}
}
