package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mayImport lists, for each directory of Go files, which of hlplay's own packages it may import. "X/..." stands for X
// and everything below it, on both sides; the longest matching entry applies to a directory. The consequences: the
// engine knows the modules' interface but no module, no module knows the scheduler, only the modules of Proxmox VE and
// Ceph know these products, the lab knows none of all that, and only the command knows the lab.
var mayImport = map[string][]string{
	"cmd/hlplay":                 {"engine/...", "modules", "modules/nebula", "modules/preflight", "modules/proof", "modules/registry", "modules/survival/...", "modules/throughput"},
	"cmd/hlplay/e2e":             {},
	"cmd/hlplay/e2e/proxmox-lab": {"engine/lab/..."},
	"cmd/hlplay/peers":           {},

	"engine/defect":    {},
	"engine/gitrepo":   {},
	"engine/hclfile":   {"engine/localfile", "engine/suggest"},
	"engine/hostvar":   {"engine/hclfile", "engine/suggest"},
	"engine/ansible":   {"engine/vault"},
	"engine/inventory": {"engine/ansible", "engine/hclfile", "engine/hostvar", "engine/localfile", "engine/secret", "engine/suggest"},
	"engine/journal":   {"engine/inventory", "engine/lang", "engine/observe", "engine/report"},
	"engine/lang":      {"engine/gitrepo", "engine/hclfile", "engine/hostvar", "engine/roles", "engine/secret", "engine/suggest", "engine/vault", "modules"},
	"engine/localfile": {},
	"engine/lsp":       {"engine/hclfile", "engine/inventory", "engine/lang", "engine/observe", "engine/project", "engine/secret", "modules"},
	"engine/nodestate": {"engine/observe", "engine/remote"},
	"engine/observe":   {"engine/defect", "engine/remote", "engine/suggest"},
	"engine/pattern":   {},
	"engine/plan":      {"engine/journal", "engine/localfile", "engine/report", "engine/run", "modules"},
	"engine/plural":    {},
	"engine/project":   {"engine/hclfile", "engine/localfile", "engine/suggest"},
	"engine/remote":    {"engine/localfile", "engine/sshconfig"},
	"engine/report":    {"engine/plural", "modules"},
	"engine/roles":     {"engine/gitrepo", "engine/hclfile", "engine/localfile"},
	"engine/run":       {"engine/defect", "engine/inventory", "engine/lang", "engine/nodestate", "engine/observe", "engine/remote", "engine/report", "engine/suggest", "modules"},
	"engine/secret":    {"engine/hostvar", "engine/localfile", "engine/vault"},
	"engine/sshconfig": {"engine/localfile", "engine/suggest"},
	"engine/suggest":   {},
	"engine/vault":     {},

	"engine/lab/...":            {"engine/lab/...", "engine/inventory"},
	"engine/lab/proxmox/onnode": {"engine/lab/...", "engine/observe"}, // it reads real nodes
	"engine/lab/machine":        {},
	"modules":                   {"engine/observe", "engine/remote"},
	"modules/...":               {"engine/localfile", "engine/observe", "engine/plural", "engine/remote", "engine/suggest", "modules", "modules/internal/accounts", "modules/internal/blank", "modules/internal/bytesize", "modules/internal/conffile", "modules/internal/required", "modules/internal/uuid", "modules/internal/wrongform"},
	"modules/backup_job":        {"engine/observe", "modules", "modules/internal/pve"},
	"modules/drill":             {"modules", "modules/internal/ceph", "modules/internal/pve", "modules/survival", "modules/survival/living"},
	"modules/evacuate":          {"modules", "modules/internal/pve"},
	"modules/firewall":          {"engine/observe", "engine/remote", "modules", "modules/internal/conffile", "modules/internal/pve", "modules/internal/required", "modules/internal/session", "modules/service"},
	"modules/git":               {"engine/gitrepo", "engine/observe", "engine/remote", "modules", "modules/internal/required"},
	"modules/ha":                {"engine/observe", "engine/plural", "modules", "modules/internal/pve"},
	"modules/internal/ceph":     {"engine/observe", "engine/remote", "modules", "modules/internal/pve"},
	"modules/internal/pbs":      {"engine/observe", "engine/remote", "modules/internal/pve"},
	"modules/internal/pve":      {"engine/observe", "engine/remote", "modules", "modules/internal/conffile"},
	"modules/mapping":           {"engine/observe", "engine/remote", "modules", "modules/internal/pve"},
	"modules/network":           {"engine/observe", "engine/remote", "engine/suggest", "modules", "modules/internal/ceph", "modules/internal/conffile", "modules/internal/pve", "modules/internal/session", "modules/network/interfaces"},
	"modules/reboot":            {"engine/observe", "modules", "modules/internal/ceph", "modules/internal/pve"},
	"modules/throughput":        {"engine/observe", "engine/remote", "modules", "modules/internal/pve"},
	"modules/passthrough":       {"engine/observe", "engine/remote", "modules", "modules/internal/conffile", "modules/internal/pve", "modules/modprobe"},
	"modules/proof":             {"engine/observe", "engine/remote", "modules/http", "modules/preflight"},
	"modules/pbs":               {"engine/observe", "modules", "modules/internal/pbs", "modules/internal/pve", "modules/internal/required"},
	"modules/pct":               {"engine/observe", "modules", "modules/internal/pve"},
	"modules/pve8to9":           {"engine/observe", "engine/plural", "engine/remote", "modules", "modules/internal/pve"},
	"modules/pveceph":           {"engine/observe", "engine/plural", "engine/suggest", "modules", "modules/apt", "modules/internal/blank", "modules/internal/ceph", "modules/internal/conffile", "modules/internal/pve"},
	"modules/pvecm":             {"engine/observe", "engine/plural", "engine/remote", "modules", "modules/internal/ceph", "modules/internal/conffile", "modules/internal/pve"},
	"modules/pve_firewall":      {"engine/observe", "engine/pattern", "engine/remote", "modules", "modules/internal/pve", "modules/internal/session"},
	"modules/pvesm":             {"engine/observe", "modules", "modules/internal/ceph", "modules/internal/pbs", "modules/internal/pve"},
	"modules/qm":                {"engine/observe", "engine/plural", "modules", "modules/internal/pve"},
	"modules/test_restore":      {"engine/observe", "engine/remote", "modules", "modules/internal/conffile", "modules/internal/pve"},
	"modules/registry":          {"engine/observe", "engine/remote", "modules/..."},
	"modules/survival":          {},
	"modules/survival/living":   {"engine/observe", "modules/internal/ceph", "modules/internal/pve", "modules/survival"},

	"modules/internal/modulestest": {"engine/lab/transcript", "engine/lang", "engine/observe", "engine/remote", "modules"}, // tests build modules as playbooks do
}

// allowed returns the packages that a directory may import, and whether there is an entry for it.
func allowed(folder string) ([]string, bool) {
	if may, ok := mayImport[folder]; ok {
		return may, true
	}
	for dir := folder; dir != "."; dir = path.Dir(dir) {
		if may, ok := mayImport[dir+"/..."]; ok {
			return may, true
		}
	}
	return nil, false
}

func fits(folder, pattern string) bool {
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return folder == tree || isTree && strings.HasPrefix(folder, tree+"/")
}

// TestImportsPointOneWay checks every import of hlplay's own packages, except in tests, against mayImport.
func TestImportsPointOneWay(t *testing.T) {
	root := filepath.Join("..", "..")
	checked := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || len(d.Name()) > 2 && d.Name()[0] == '.') {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		name, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder := path.Dir(filepath.ToSlash(name))
		may, known := allowed(folder)
		if !known {
			t.Errorf("%s: nothing says what %s may import: add it to mayImport", name, folder)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			own, ok := strings.CutPrefix(imported, "hlplay/")
			if !ok {
				continue
			}
			checked++
			if own == "engine/pattern" { // it replaces package regexp everywhere
				continue
			}
			if !slices.ContainsFunc(may, func(pattern string) bool { return fits(own, pattern) }) {
				t.Errorf("%s imports %s; %s may import %s", name, own, folder, strings.Join(may, ", "))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if checked == 0 {
		t.Error("no import of hlplay's own packages was found: the test looks in the wrong place")
	}
}
