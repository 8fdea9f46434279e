package apt

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"hlplay/modules"
	"hlplay/modules/internal/conffile"
)

// planDisable disables the sources at DisableURIs, file by file.
func (m *Module) planDisable(ctx context.Context, h modules.Host) ([]modules.Step, error) {
	if len(m.DisableURIs) == 0 {
		return nil, nil
	}
	files, err := SourceFiles.Observe(ctx, h, "")
	if err != nil {
		return nil, err
	}
	below := func(uri string) bool {
		return slices.ContainsFunc(m.DisableURIs, func(u string) bool { return strings.HasPrefix(canonical(uri), canonical(u)) })
	}
	var steps []modules.Step
	for _, f := range files {
		var mixed error
		text := switchedWhere(f.Path, f.Content, false, func(s stanza) bool {
			if !s.enabled || !slices.ContainsFunc(s.uris, below) {
				return false
			}
			if i := slices.IndexFunc(s.uris, func(uri string) bool { return !below(uri) }); i >= 0 {
				mixed = fmt.Errorf("%s lists %s in the same stanza as the repository to disable: move it to a stanza of its own", f.Path, s.uris[i])
				return false
			}
			return true
		})
		if mixed != nil {
			return nil, mixed
		}
		if text == f.Content {
			continue
		}
		more, err := conffile.Write(ctx, h, f.Path, text, "disable "+strings.Join(m.DisableURIs, ", ")+" in "+f.Path)
		if err != nil {
			return nil, err
		}
		steps = append(steps, more...)
	}
	return steps, nil
}
