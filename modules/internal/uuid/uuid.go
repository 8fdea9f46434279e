// Package uuid generates UUIDs that check mode can predict.
package uuid

import (
	"crypto/sha256"
	"fmt"
	"strings"
)

// Derived returns the UUID of version 8 (RFC 9562) that is derived from its parts; the first part says what it is for.
func Derived(parts ...string) string {
	sum := sha256.Sum256([]byte("hlplay " + strings.Join(parts, "\x00")))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}
