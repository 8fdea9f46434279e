// Package registry lists the modules that hlplay ships. Adding a module is adding its package and one line here.
package registry

import "hlplay/modules"

// All returns the modules in the order of their names.
func All() []modules.Spec {
	return []modules.Spec{}
}

// Find returns the module of that name.
func Find(name string) (modules.Spec, bool) {
	for _, spec := range All() {
		if spec.Name == name {
			return spec, true
		}
	}
	return modules.Spec{}, false
}
