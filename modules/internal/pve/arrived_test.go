package pve

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// TestServiceArrived compares the query with Service.Arrived, in recorded states and in others.
func TestServiceArrived(t *testing.T) {
	recorded := func(name string) string {
		text, _, _ := strings.Cut(string(modulestest.Recorded(t, "manager_status."+name+".txt").Stdout), "\n")
		return text
	}
	for name, status := range map[string]string{
		"recorded: in error":  recorded("error-locked"),
		"recorded: starting":  recorded("starting-locked"),
		"recorded: disabled":  recorded("after-disabled"),
		"running is a string": `{"service_status":{"vm:190":{"running":"1","state":"started"}}}`,
		"pretty":              "{\n \"service_status\" : {\n \"vm:190\" : {\n \"state\" : \"started\",\n \"running\" : 1 } } }",
		"moving":              `{"service_status":{"vm:190":{"cmd":["migrate","pve2"],"state":"migrate"},"vm:1":{"state":"stopped"}}}`,
		"a longer name":       `{"service_status":{"vm:1900":{"running":1,"state":"started"}}}`,
		"unknown":             `{"service_status":{}}`,
	} {
		file := filepath.Join(t.TempDir(), "manager_status")
		if err := os.WriteFile(file, []byte(status), 0o600); err != nil {
			t.Fatal(err)
		}
		var all struct {
			Services map[string]Service `json:"service_status"`
		}
		if err := json.Unmarshal([]byte(status), &all); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, sid := range []string{"vm:190", "vm:100"} {
			for _, state := range []string{"started", "stopped", "disabled"} {
				q := *ServiceArrived(sid, state)
				q.Args[0] = file
				service := all.Services[sid]
				want := service.Arrived(state) || service.State == "error"
				if got := modulestest.Answers(t, []remote.Query{q})[0].Exit == 0; got != want {
					t.Errorf("%s: %s %s: the host says %t, the plan %t", name, sid, state, got, want)
				}
			}
		}
	}
	if ServiceArrived("vm:100", "ignored") != nil {
		t.Error("a resource that is ignored is awaited")
	}
}
