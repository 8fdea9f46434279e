package lang

import "github.com/hashicorp/hcl/v2"

// Flush is a `flush_handlers` block: handlers notified so far run here rather than at the end of the play.
type Flush struct{ Range hcl.Range }

func (*Flush) node() {}
