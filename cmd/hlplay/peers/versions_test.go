//go:build linux && peers

package peers

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// heading says what is measured, where and how. It is determined at the start, because the tree may change meanwhile.
func heading(t *testing.T) string {
	t.Helper()
	said := func(argv ...string) string {
		out, err := exec.Command(argv[0], argv[1:]...).Output()
		if err != nil {
			t.Errorf("%q: %v", argv, err)
		}
		return strings.TrimSpace(string(out))
	}
	version := said("git", "describe", "--always", "--dirty", "--abbrev=12")
	packages := strings.ReplaceAll(said("dpkg-query", "-W", "-f", "${Package} ${Version}\n", "ansible", "ansible-core", "ansible-mitogen", "openssh-client", "python3"), "\n", ", ")
	command := "make bench-peers"
	for _, variable := range []string{"PEERS_RUNS", "PEERS_OTHERS", "PEERS_CASES", "HLPLAY_SEND_AHEAD"} {
		if value := os.Getenv(variable); value != "" {
			command += fmt.Sprintf(" %s='%s'", variable, value)
		}
	}
	return fmt.Sprintf("`%s`, %s. hlplay %s, %s; %s. Controller and nodes share %d processors (%s), Linux %s. Load average at the start: %s.",
		command, time.Now().UTC().Format(time.DateOnly), version, runtime.Version(), packages,
		runtime.NumCPU(), processor(), said("uname", "-r"), load())
}

func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
