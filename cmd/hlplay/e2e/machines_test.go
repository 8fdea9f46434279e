//go:build linux && machines

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/lab/qemu"
)

// playbook returns the path of one of the playbooks for users, relative to the directory of the tests' playbooks.
func playbook(name string) string { return filepath.Join("..", "..", "playbooks", name) }

// startMachines boots machines for one test.
func startMachines(t *testing.T, o qemu.Options) *qemu.Machines {
	t.Helper()
	o.Log = t.Logf
	ms, err := qemu.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ms.Close(); err != nil {
			t.Error(err)
		}
	})
	return ms
}

// machineRunner runs hlplay on machines, all of which are also in group "pve". vars are the variables of each host, in
// HCL.
func machineRunner(t *testing.T, ms *qemu.Machines, vars map[string]string) *runner {
	t.Helper()
	path, err := ms.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	r := &runner{network: ms, inventory: path, dir: ms.Dir}
	r.setVars(t, ms, vars)
	return r
}

// setVars writes an inventory with other host variables next to the machines' own.
func (r *runner) setVars(t *testing.T, ms *qemu.Machines, vars map[string]string) {
	t.Helper()
	path, err := ms.Inventory()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := string(text)
	var names []string
	for _, m := range ms.List {
		names = append(names, `"`+m.Name+`"`)
		host := "\nhost \"" + m.Name + "\" {\n"
		all = strings.Replace(all, host, host+"  vars = "+orEmpty(vars[m.Name])+"\n", 1)
	}
	all += "\ngroup \"pve\" {\n  hosts = [" + strings.Join(names, ", ") + "]\n}\n"
	if err := os.WriteFile(path, []byte(all), 0o600); err != nil {
		t.Fatal(err)
	}
	r.inventory = path
}

func orEmpty(vars string) string {
	if vars == "" {
		return "{}"
	}
	return vars
}
