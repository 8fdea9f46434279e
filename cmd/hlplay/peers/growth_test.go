//go:build linux && peers

package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mostRoundTrips limits a converged run over one connection, including the eight round trips of SSH's own handshake and
// authentication.
const mostRoundTrips = 10

// TestRoundTripsDoNotGrow counts the round trips of converged runs of 20, 100 and 1,000 tasks, on connections to real
// nodes. Half of the tasks are about files, the others about settings, packages, units and commands. Each has its own
// object, as far as a node has enough of them.
func TestRoundTripsDoNotGrow(t *testing.T) {
	// With some delay, what belongs together arrives together, so that the count does not vary.
	s := openHere(t, 20*time.Millisecond)
	// Settings of forwarding are left out: they reset others, so that the module wants them first in the file.
	keys := s.list(t, `grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv4/neigh | grep -v /forwarding: | sed 's:^/proc/sys/::' | head -150`)
	packages := s.list(t, `dpkg-query -W -f '${Package}\n' | head -100`)
	units := s.list(t, `systemctl list-units --state=active --no-legend --plain | cut -d' ' -f1 | grep -E '\.(service|socket|target|timer)$' | head -100`)
	counts := map[int]int{}
	for _, tasks := range []int{20, 100, 1000} {
		path := filepath.Join(s.home, fmt.Sprintf("growth-%d.hcl", tasks))
		text := growth(tasks, keys, packages, units)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, node := range s.List {
			// Create what the playbook expects, all at once: a first run of a thousand tasks would take too long.
			var files strings.Builder
			for i := range tasks / 2 {
				fmt.Fprintf(&files, "printf 'content of %d\\n' >/etc/growth/%d\n", i, i)
			}
			files.WriteString("cat >/etc/sysctl.d/growth.conf <<'end'\n")
			for _, key := range keys {
				name, value, _ := strings.Cut(key, ":")
				fmt.Fprintf(&files, "%s = %s\n", name, value)
			}
			files.WriteString("end\n")
			if _, err := node.ExecInput(t.Context(), "mkdir -p /etc/growth\n"+files.String(), "sh", "-eu"); err != nil {
				t.Fatal(err)
			}
		}
		before, began := s.counts(), time.Now()
		recap, err := here(t.Context(), s, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		took, after := time.Since(began), s.counts()
		for name, host := range recap.Hosts {
			if host.Changed > 0 {
				t.Errorf("%d tasks: %s has %d changes, expected none", tasks, name, host.Changed)
			}
		}
		counts[tasks] = (after.Reversals - before.Reversals) / 2 / len(s.List)
		t.Logf("%4d tasks on three hosts: %d round trips a host, %.1f kB sent and %.1f kB received a host, %.2f s at a round trip time of %s",
			tasks, counts[tasks], float64(after.Up-before.Up)/3e3, float64(after.Down-before.Down)/3e3, took.Seconds(), s.rtt)
		if counts[tasks] > mostRoundTrips {
			t.Errorf("%d tasks take %d round trips, expected at most %d", tasks, counts[tasks], mostRoundTrips)
		}
	}
	if counts[1000] > counts[20]+2 {
		t.Errorf("1,000 tasks take %d round trips where 20 take %d: expected at most 2 more", counts[1000], counts[20])
	}
}

// list returns the lines that a script prints on a node.
func (s *testbed) list(t *testing.T, script string) []string {
	t.Helper()
	out, err := s.List[0].Exec(t.Context(), "sh", "-c", script)
	if err != nil || out == "" {
		t.Fatalf("%s: %v, output %q", script, err, out)
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// growth returns a playbook with that many tasks.
func growth(tasks int, keys, packages, units []string) string {
	var out strings.Builder
	out.WriteString("play \"growth\" {\n  hosts = \"pve\"\n")
	task := func(i int, body string) { fmt.Fprintf(&out, "  task \"task %d\" {\n    %s\n  }\n", i, body) }
	files, turn := 0, 0
	for i := range tasks {
		if i%2 == 0 {
			task(i, fmt.Sprintf("file {\n      path    = \"/etc/growth/%d\"\n      content = \"content of %d\\n\"\n    }", files, files))
			files++
			continue
		}
		of := turn / 4
		switch turn++; turn % 4 {
		case 0:
			name, value, _ := strings.Cut(keys[of%len(keys)], ":")
			task(i, fmt.Sprintf("sysctl {\n      name  = %q\n      value = %q\n      file  = \"/etc/sysctl.d/growth.conf\"\n    }", name, value))
		case 1:
			task(i, fmt.Sprintf("apt {\n      packages = [%q]\n    }", packages[of%len(packages)]))
		case 2:
			task(i, fmt.Sprintf("service {\n      name  = %q\n      state = \"started\"\n    }", units[of%len(units)]))
		case 3:
			task(i, fmt.Sprintf("command {\n      argv  = [\"echo\", \"%d\"]\n      reads = true\n    }", i))
		}
	}
	out.WriteString("}\n")
	return out.String()
}
