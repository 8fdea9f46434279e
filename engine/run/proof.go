package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"hlplay/engine/remote"
	"hlplay/modules"
)

// proofLimit bounds a try of a proof that gives no limit.
const proofLimit = 10 * time.Second

func (e *execution) proof(ctx context.Context, proof modules.Proof) error {
	on := e.host
	if proof.On != nil {
		on = e.hosts.behind(proof.On)
	}
	root := on.connection.asRoot()
	switch {
	case root == nil && on == e.host:
		return errors.New("the connection was lost again")
	case root == nil:
		return fmt.Errorf("%s cannot be asked as root: the connection was lost, or its tasks do not become root", on.Name)
	}
	return try(ctx, root, proof)
}

// try runs a proof once.
func try(ctx context.Context, session remote.Session, proof modules.Proof) error {
	result, err := session.Run(ctx, remote.Command{Argv: proof.Argv, Limit: cmp.Or(proof.Limit, proofLimit)})
	if err == nil && result.Exit != 0 {
		if proof.Explain != nil {
			if err := proof.Explain(result.Exit, result.Stdout, result.Stderr); err != nil {
				return fmt.Errorf("%s: %w", proof.Summary, err)
			}
		}
		err = &commandError{summary: proof.Summary, argv: proof.Argv, result: result}
	}
	return err
}
