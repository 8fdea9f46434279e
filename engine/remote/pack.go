package remote

import (
	"bytes"
	"compress/gzip"
	"sync"
	"time"
)

// What is sent to a distant host is compressed if that is worth two more processes there: a connection first sends some
// 14 KiB at once (RFC 6928), and then twice as much with each round trip.
const (
	// packedFrom is the length in bytes from which a script is compressed.
	packedFrom = 8 << 10
	// distant is the latency from which a host is worth it.
	distant = 10 * time.Millisecond
)

// unpack is the shell code that sets $_hl_e to the text that is compressed in as many bytes of the input as %d says. If it fails, or the
// text is cut off, the shell ends. gzip complains about a $GZIP, which may be a user's, and refuses most of them.
const unpack = `_hl_e=$(head -c "%d" | GZIP='' gzip -dc) || exit 2` + "\n"

// packs reports whether long scripts are compressed for the acting shells. Hosts without a hand, such as simulated nodes, get them
// as they are.
func (c *conn) packs() bool {
	return c.gzip.Load() && c.transport.stats().Latency >= c.packFrom
}

// packer compresses one text at a time: a compressor takes more than a megabyte.
var packer struct {
	sync.Mutex
	gzip *gzip.Writer
}

// pack returns a text compressed for gzip(1).
func pack(text []byte) []byte {
	packer.Lock()
	defer packer.Unlock()
	var packed bytes.Buffer
	if packer.gzip == nil {
		packer.gzip = gzip.NewWriter(&packed)
	} else {
		packer.gzip.Reset(&packed)
	}
	_, _ = packer.gzip.Write(text) // a buffer takes everything
	_ = packer.gzip.Close()
	return packed.Bytes()
}

// kept remembers what acting shells are started with, compressed, by the program of their hand.
var kept sync.Map

// packOnce is pack for a text that many hosts get.
func packOnce(text string) []byte {
	if known, ok := kept.Load(text); ok {
		return known.([]byte)
	}
	packed := pack([]byte(text))
	kept.Store(text, packed)
	return packed
}
