package lang

import "github.com/hashicorp/hcl/v2"

// Flush is a `flush_handlers` block: handlers notified so far run here and not only at the end of
// the play.
type Flush struct{ Range hcl.Range }

func (*Flush) node() {}
