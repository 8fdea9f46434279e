// Package conffile plans changes to the small configuration files that modules manage below /etc.
package conffile

import (
	"context"
	"fmt"
	"io/fs"
	"path"

	"hlplay/engine/observe"
	"hlplay/modules"
)

// mode is the mode of a new file: these files contain no secrets.
const mode = 0o644

// Write plans the steps after which the file has the content; none if it has it already. Symbolic links are followed,
// the mode and ownership of an existing file are kept, and a missing directory is created.
func Write(ctx context.Context, h modules.Host, name, content, summary string) ([]modules.Step, error) {
	return WriteMode(ctx, h, name, content, summary, mode)
}

// WriteMode is Write with the mode that a new file gets.
func WriteMode(ctx context.Context, h modules.Host, name, content, summary string, mode fs.FileMode) ([]modules.Step, error) {
	parent := path.Dir(name)
	observe.Files.Want(h, parent)
	at, before, err := observe.Follow(ctx, h, name)
	if err != nil {
		return nil, err
	}
	switch {
	case before.Exists() && before.Type != observe.Regular:
		return nil, fmt.Errorf("%s is a %s: expected a regular file; move it away", at, before.Type)
	case before.Truncated:
		return nil, fmt.Errorf("%s is larger than %d bytes, the limit for a configuration file", at, observe.FileLimit)
	case before.Exists() && string(before.Content) == content:
		return nil, nil
	}
	var steps []modules.Step
	if !before.Exists() {
		made, err := makeParent(ctx, h, path.Dir(at))
		if err != nil {
			return nil, err
		}
		steps = made
	}
	after := observe.File{
		Type: observe.Regular, Mode: mode, Owner: "root", Group: "root",
		Size: int64(len(content)), Content: []byte(content),
	}
	write := modules.WriteFile{Path: at, Content: after.Content}
	if before.Exists() {
		after.Mode, after.Owner, after.Group = before.Mode, before.Owner, before.Group
	} else {
		write.Mode, write.Owner, write.Group = mode, "root", "root"
	}
	return append(steps, modules.Step{
		Summary: summary + before.OthersKeep(),
		Action:  write,
		Diff:    &modules.Diff{Subject: at, Before: string(before.Content), After: content},
		Expect:  observe.Placed(h, at, after),
	}), nil
}

func makeParent(ctx context.Context, h modules.Host, dir string) ([]modules.Step, error) {
	at, there, err := observe.Follow(ctx, h, dir)
	switch {
	case err != nil:
		return nil, err
	case there.Exists() && there.Type != observe.Directory:
		return nil, fmt.Errorf("%s is a %s: expected a directory", at, there.Type)
	case there.Exists():
		return nil, nil
	}
	return []modules.Step{{
		Summary: "create directory " + dir,
		Action:  modules.MakeDir{Path: dir, Mode: 0o755, Owner: "root", Group: "root"},
		Expect:  observe.Placed(h, dir, observe.File{Type: observe.Directory, Mode: 0o755, Owner: "root", Group: "root"}),
	}}, nil
}

// Remove plans the step that removes a file written by the module; none if it does not exist. A symbolic link is
// itself removed.
func Remove(ctx context.Context, h modules.Host, name, summary string) ([]modules.Step, error) {
	before, err := observe.Files.Observe(ctx, h, name)
	if err != nil || !before.Exists() {
		return nil, err
	}
	if before.Type == observe.Directory {
		return nil, fmt.Errorf("%s is a directory: expected a file; nothing is removed", name)
	}
	return []modules.Step{{
		Summary: summary,
		Action:  modules.Remove{Path: name, Lossless: true},
		Diff:    &modules.Diff{Subject: name, Before: string(before.Content)},
		Expect:  observe.Placed(h, name, observe.File{}),
	}}, nil
}
