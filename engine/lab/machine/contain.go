package machine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
)

// contained runs a program. One that panics is a defect of the lab, and ends like one that the kernel ended; the
// stack goes to the log. The other programs and nodes of the lab go on.
func (m *Machine) contained(ctx context.Context, c *Call, program Program) (code int) {
	defer func() {
		if p := recover(); p != nil {
			Defect(m.Name(), c.Argv[0], p)
			fmt.Fprintf(c.Stderr, "%s: Segmentation fault (a defect of the simulation, not of your playbook: %v)\n", c.Argv[0], p)
			code = 139 // 128 + SIGSEGV
		}
	}()
	return program(ctx, c)
}

// Defect logs what a node's part of the simulation panicked with while it did something.
func Defect(node, doing string, panicked any) {
	slog.Error("the simulated node failed", "node", node, "doing", doing, "panic", panicked, "stack", string(debug.Stack()))
}
