//go:build linux && peers

package peers

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tool is one of the tools to compare.
type tool struct {
	name string
	// command returns the command line and environment of a run on a testbed. The working directory is the playbook's.
	command func(s *testbed, what string) (dir string, env, argv []string, err error)
	// changed returns the number of changes on all hosts from a run's output, or what went wrong. Nil means that the
	// tool does not count.
	changed func(output string) (int, error)
}

// What is measured: a run on fresh nodes, a run that finds nothing to do, and one in check mode that finds nothing to
// do.
const (
	first     = "first"
	converged = "converged"
	check     = "check"
)

var tools = []tool{
	byScript, // before the nodes of the others' last first runs are kept
	{"plain", ansible("plain.cfg"), recap},
	{"tuned", ansible("tuned.cfg"), recap},
	{"mitogen", ansible("mitogen.cfg"), recap},
	{"hlplay", hlplay, summary},
}

func toolNamed(name string) tool {
	for _, t := range tools {
		if t.name == name {
			return t
		}
	}
	panic("no tool " + name)
}

func hlplay(s *testbed, what string) (string, []string, []string, error) {
	path, err := filepath.Abs(*program)
	if err != nil {
		return "", nil, nil, err
	}
	argv := []string{path, "run", filepath.Base(playbook), "-i", s.file("hosts.hcl"), "--output", "json", "--journal", s.file("journal")}
	if what == check {
		argv = append(argv, "--check", "--diff")
	}
	return filepath.Dir(playbook), []string{"HOME=" + s.home, "PATH=" + os.Getenv("PATH"), "HLPLAY_SEND_AHEAD=" + os.Getenv("HLPLAY_SEND_AHEAD")}, argv, nil
}

func ansible(config string) func(*testbed, string) (string, []string, []string, error) {
	return func(s *testbed, what string) (string, []string, []string, error) {
		folder, err := filepath.Abs(ansibleFolder)
		if err != nil {
			return "", nil, nil, err
		}
		sockets, err := os.MkdirTemp(s.home, "cp") // no run reuses the connections of another
		if err != nil {
			return "", nil, nil, err
		}
		env := []string{
			"HOME=" + s.home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8",
			"ANSIBLE_CONFIG=" + filepath.Join(folder, config), "ANSIBLE_NOCOLOR=1",
			"ANSIBLE_SSH_CONTROL_PATH_DIR=" + sockets, "ANSIBLE_PRIVATE_KEY_FILE=" + s.key(),
			"ANSIBLE_SSH_COMMON_ARGS=-F none -o UserKnownHostsFile=" + s.file("known_hosts") + " -o LogLevel=ERROR",
		}
		if config == "mitogen.cfg" {
			out, err := exec.Command("/usr/bin/python3", "-c", "import ansible_mitogen, os; print(os.path.dirname(ansible_mitogen.__file__))").Output()
			if err != nil {
				return "", nil, nil, fmt.Errorf("where Mitogen is: %w", err)
			}
			env = append(env, "ANSIBLE_STRATEGY_PLUGINS="+filepath.Join(strings.TrimSpace(string(out)), "plugins", "strategy"))
		}
		argv := []string{"/usr/bin/ansible-playbook", "-i", s.file("hosts.ini"), "site.yml"}
		if what == check {
			argv = append(argv, "--check", "--diff")
		}
		return folder, env, argv, nil
	}
}

var recapField = regexp.MustCompile(`(\w+)=(\d+)`)

// recap parses the end of ansible-playbook's output.
func recap(output string) (changed int, err error) {
	_, lines, found := strings.Cut(output, "PLAY RECAP")
	if !found {
		return 0, fmt.Errorf("there is no recap in:\n%s", output)
	}
	hosts := 0
	for line := range strings.Lines(lines) {
		if !strings.Contains(line, "ok=") {
			continue
		}
		hosts++
		for _, field := range recapField.FindAllStringSubmatch(line, -1) {
			count, _ := strconv.Atoi(field[2])
			switch field[1] {
			case "changed":
				changed += count
			case "failed", "unreachable", "rescued", "ignored":
				if count > 0 {
					return 0, fmt.Errorf("%s in:\n%s", strings.TrimSpace(line), output)
				}
			}
		}
	}
	if hosts != 3 {
		return 0, fmt.Errorf("the recap is of %d hosts, expected 3:\n%s", hosts, output)
	}
	return changed, nil
}

// summary parses the last line of hlplay's JSON.
func summary(output string) (changed int, err error) {
	scan := bufio.NewScanner(strings.NewReader(output))
	scan.Buffer(nil, 1<<24)
	for scan.Scan() {
		var line struct {
			Type, Task, Host, Status, Message string
			Hosts                             json.RawMessage
		}
		if err := json.Unmarshal(scan.Bytes(), &line); err != nil {
			return 0, fmt.Errorf("%w in:\n%s", err, output)
		}
		if line.Type == "task" && (line.Status == "failed" || line.Status == "unreachable" || line.Status == "uncertain") {
			return 0, fmt.Errorf("%s on %s is %s: %s", line.Task, line.Host, line.Status, line.Message)
		}
		if line.Type != "recap" {
			continue
		}
		var hosts map[string]struct{ Changed int }
		if err := json.Unmarshal(line.Hosts, &hosts); err != nil {
			return 0, err
		}
		if len(hosts) != 3 {
			return 0, fmt.Errorf("the recap is of %d hosts, expected 3", len(hosts))
		}
		for _, h := range hosts {
			changed += h.Changed
		}
		return changed, nil
	}
	return 0, fmt.Errorf("there is no recap in:\n%s", output)
}

// run runs a tool on a testbed and returns what it used.
func (s *testbed) run(t *testing.T, by tool, what string) result {
	t.Helper()
	dir, env, argv, err := by.command(s, what)
	if err != nil {
		t.Fatal(err)
	}
	before := s.counts()
	processes, err := s.lastProcesses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := s.cpu()
	if err != nil {
		t.Fatal(err)
	}
	others := busy(t)
	u, output, err := measured(s.Nodes, dir, env, argv...)
	if err != nil {
		t.Fatal(err)
	}
	others = busy(t) - others
	nodesAfter, err := s.cpu()
	if err != nil {
		t.Fatal(err)
	}
	processesAfter, err := s.lastProcesses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	started, err := s.started(t.Context(), processes, processesAfter)
	if err != nil {
		t.Fatal(err)
	}
	after := s.counts()
	if u.Exit != 0 {
		t.Fatalf("%s, %s: exit code %d:\n%s", by.name, what, u.Exit, output)
	}
	changed := 0
	if by.changed != nil {
		changed, err = by.changed(output)
		if err != nil {
			t.Fatalf("%s, %s: %v", by.name, what, err)
		}
		if (what == first) != (changed > 0) {
			t.Fatalf("%s, %s: %d changes:\n%s", by.name, what, changed, output)
		}
	}
	r := result{processes: started, usage: u, nodes: nodesAfter - nodes, changes: changed / len(s.List),
		up: after.Up - before.Up, down: after.Down - before.Down, roundTrips: (after.Reversals - before.Reversals) / 2 / len(s.List)}
	r.others = others - r.nodes - u.CPU()
	t.Logf("%-8s %-10s %6s: %.2f s, controller %.3f s, nodes %.2f s, %d processes a host, others %.2f s, largest %.1f MB, together %.1f MB, %d round trips, %.1f kB up, %.1f kB down, %d changes a host",
		by.name, what, distance(s.rtt), u.Wall.Seconds(), u.CPU().Seconds(), r.nodes.Seconds(), r.processes, r.others.Seconds(),
		mb(u.Largest), mb(u.Together), r.roundTrips, float64(r.up)/1e3, float64(r.down)/1e3, r.changes)
	return r
}
