package proxmox

import (
	"bytes"
	"encoding/json"
)

// canonical formats JSON as PVE's programs print it: sorted keys, one line.
func canonical(value any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "null\n" // maps, slices and scalars can always be marshaled
	}
	return b.String()
}

// column is a column of a table. right aligns it to the right.
type column struct {
	title string
	right bool
}
