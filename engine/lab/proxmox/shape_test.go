package proxmox

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// For responses whose values are all specific to the recording machine, only the keys are compared.
func TestShapes(t *testing.T) {
	l := newLab(t, labOptions{ceph: "18.2.7"})
	l.form("lab", 3)
	hooks["@network"](l)
	l.ok("pve1", "pveceph", "mon", "create")
	l.clock.Advance(crmLoop)
	for name, without := range map[string][]string{
		// The recorded manager's Python was broken, which shows in its list of modules.
		"pvesh-get-cluster-ceph-status":         {"available_modules", "MON_DISK_LOW", "active_clients", "always_on_modules", "by_rank", "progress_events", "id", "up", "in", "max", "modules", "servicemap", "services"},
		"pvesh-get-nodes-pve2-status.from-pve1": nil,
	} {
		tr := readTranscript(t, "testdata/pve9/"+name+".txt")
		got := l.replay(tr)
		if diff := cmp.Diff(keysOf(t, tr.stdout, without), keysOf(t, got.stdout, without)); diff != "" {
			t.Errorf("%s: keys (-real +simulated):\n%s", name, diff)
		}
	}
}

// keysOf returns the paths of all keys in a JSON text.
func keysOf(t *testing.T, text string, without []string) []string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v in %.200s", err, text)
	}
	found := map[string]bool{}
	var walk func(prefix string, value any)
	walk = func(prefix string, value any) {
		switch value := value.(type) {
		case map[string]any:
			for key, child := range value {
				at := prefix + "/" + key
				skip := false
				for _, w := range without {
					skip = skip || strings.Contains(at+"/", "/"+w+"/")
				}
				if !skip {
					found[at] = true
					walk(at, child)
				}
			}
		case []any:
			for _, child := range value {
				walk(prefix, child)
			}
		}
	}
	walk("", value)
	paths := make([]string, 0, len(found))
	for p := range found {
		paths = append(paths, fmt.Sprint(p))
	}
	slices.Sort(paths)
	return paths
}
