package registry

import (
	"testing"

	"hlplay/engine/lang"
)

// A playbook that uses a module with a defective struct reports it: see lang.ModuleSchema.Err.
func TestModulesHaveSchemas(t *testing.T) {
	for _, spec := range All() {
		if err := lang.Schema(spec).Err(); err != nil {
			t.Errorf("module %q: %v", spec.Name, err)
		}
	}
}
