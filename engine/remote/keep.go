package remote

import (
	"fmt"
	"slices"
)

// MaxOutput is how much is kept of what a command prints on one stream, in bytes: of more, the first and the last half.
const MaxOutput = 16 << 20

// maxAnswer is how much a query of ours may print on one stream, in bytes.
const maxAnswer = 256 << 20

// keeper keeps of a stream what fits into its limit: of a longer one the beginning and the end.
type keeper struct {
	limit int
	head  []byte
	// ring are the last bytes behind the head; once it is full, the oldest of them is at oldest.
	ring   []byte
	oldest int
	// out is how many bytes between them were left out.
	out int64
}

func (k *keeper) Write(p []byte) (int, error) {
	n := len(p)
	room := min(k.limit/2-len(k.head), len(p))
	k.head, p = append(k.head, p[:room]...), p[room:]
	half := k.limit - k.limit/2
	if over := len(p) - half; over > 0 {
		k.out += int64(over)
		p = p[over:]
	}
	room = min(half-len(k.ring), len(p))
	k.ring, p = append(k.ring, p[:room]...), p[room:]
	k.out += int64(len(p))
	for len(p) > 0 {
		took := copy(k.ring[k.oldest:], p)
		k.oldest, p = (k.oldest+took)%half, p[took:]
	}
	return n, nil
}

// skip counts bytes that nobody has kept. They come behind as many as the keeper keeps of the beginning, or more.
func (k *keeper) skip(n int64) {
	k.out += n + int64(len(k.ring))
	k.ring, k.oldest = k.ring[:0], 0
}

// bytes is what was kept, with a line where something was left out. It does not change with what is written later.
func (k *keeper) bytes() []byte {
	if len(k.ring) == 0 && k.out == 0 {
		return slices.Clip(k.head)
	}
	gap := ""
	if k.out > 0 {
		gap = fmt.Sprintf("\n[%d bytes are left out here]\n", k.out)
	}
	return slices.Concat(k.head, []byte(gap), k.ring[k.oldest:], k.ring[:k.oldest])
}
