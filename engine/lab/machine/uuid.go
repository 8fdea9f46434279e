package machine

import (
	"crypto/rand"
	"fmt"
	"hash/fnv"
)

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // documented never to fail
	return formatUUID(b)
}

// formatUUID formats random bytes as a version 4 UUID.
func formatUUID(b [16]byte) string {
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func uuidOf(seed uint64) string {
	h := fnv.New128a()
	fmt.Fprint(h, seed)
	return formatUUID([16]byte(h.Sum(nil)))
}
