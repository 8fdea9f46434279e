package remote

import (
	"fmt"
	"slices"
)

// MaxOutput is how many bytes of a command's output are kept per stream. If it prints more, the first and the last half
// are kept.
const MaxOutput = 16 << 20

// maxAnswer is how many bytes one of hlplay's own queries may print per stream.
const maxAnswer = 256 << 20

// keeper keeps a stream up to a limit. Of a longer stream, it keeps the beginning and the end.
type keeper struct {
	limit int
	head  []byte
	// ring holds the last bytes after the head. Once it is full, the oldest byte is at index oldest.
	ring   []byte
	oldest int
	// out is the number of bytes omitted in between.
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

// skip counts bytes that were not transferred. They must be preceded by at least as many bytes as the keeper keeps of
// the beginning.
func (k *keeper) skip(n int64) {
	k.out += n + int64(len(k.ring))
	k.ring, k.oldest = k.ring[:0], 0
}

// bytes returns what was kept, with a line in place of what was omitted. Later writes do not change it.
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
