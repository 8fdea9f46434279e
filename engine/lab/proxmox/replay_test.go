package proxmox

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/shell"
)

//go:embed testdata
var testdata embed.FS

// A scenario sets up a state and replays recordings in order: each changes the state as the recorded command did.
type scenario struct {
	name    string
	options labOptions
	setUp   func(l *testLab)
	// replay are the names of recordings. "+30s" lets the lab's time pass, and "!pve3" switches a node off. For "*3"
	// see play.
	replay []string
}

// hooks are changes between recordings, by the word that stands for them in a scenario.
var hooks = map[string]func(l *testLab){
	"@bad-network": func(l *testLab) { l.run("pve1", "", "pveceph", "init", "--network", "10.99.0.0/24") },
	"@network":     func(l *testLab) { l.run("pve1", "", "pveceph", "init", "--network", "10.77.0.0/24") },
	"@expected-1":  func(l *testLab) { l.world.at(func(v *view) { v.database("pve1").Ring.Expected = 1 }) },
	"@settle":      func(l *testLab) { l.clock.Advance(45 * time.Second) },
	"@tick":        func(l *testLab) { l.clock.Advance(crmLoop) },
	"@version-5": func(l *testLab) {
		l.world.at(func(v *view) {
			db := v.database("pve1")
			conf := db.corosync().clone()
			conf.Version = 5
			db.Write("corosync.conf", []byte(conf.String()), v.now)
			db.Ring.Sequence = 0x15
		})
	},
	"@pve3-joins-too": func(l *testLab) {
		// During the next replay, while the cluster waits for pve2.
		l.clock.After(1500*time.Millisecond, func() {
			tr := readTranscript(l.t, "testdata/pve9/pvecm-add.parallel-joins-pve3.txt")
			compare(l.t, tr.name, tr.result, l.replay(tr))
		})
	},
	"@reinstall-pve3": func(l *testLab) {
		l.nodes["pve3"].PowerOn()
		n, _ := attached(l.nodes["pve3"])
		n.StopUnit("corosync.service")
		n.StopUnit("pve-cluster.service")
		l.world.update(func(s *State) { delete(s.Nodes, "pve3") })
		if err := n.Remove("/etc/corosync"); err != nil {
			l.t.Fatal(err)
		}
		if err := n.StartUnit("pve-cluster.service"); err != nil {
			l.t.Fatal(err)
		}
	},
	"@stale-mon": func(l *testLab) { l.file("pve1", "/var/lib/ceph/mon/ceph-pve1/keyring", "") },
	"@20s":       func(l *testLab) { l.clock.Advance(20 * time.Second) },
	"@pve3-off":  func(l *testLab) { l.off("pve3") },
	"@pve2-off":  func(l *testLab) { l.off("pve2") },
	"@pve3-on":   func(l *testLab) { l.nodes["pve3"].PowerOn(); l.clock.Advance(time.Minute) },
	"@ha-101": func(l *testLab) {
		l.ok("pve1", "ha-manager", "add", "vm:101", "--state", "stopped")
	},
	"@master-pve3": func(l *testLab) { // the first to take the lock is the master
		l.world.at(func(v *view) { v.database("pve1").HA.Master = "pve3" })
	},
	"@guest-pve2": func(l *testLab) { l.guest("pve2", "200") },
	"@manager-8.4.1": func(l *testLab) {
		if err := l.nodes["pve1"].Packages().Install("pve-manager=" + oldManager); err != nil {
			l.t.Fatal(err)
		}
	},
	"@ha-102": func(l *testLab) { l.ok("pve1", "ha-manager", "add", "vm:102") },
	"@strict": func(l *testLab) {
		l.ok("pve1", "ha-manager", "rules", "set", "node-affinity", "keep-on-12", "--strict", "1", "--nodes", "pve1,pve2")
	},
}

func play(t *testing.T, s scenario, generation string) {
	l := newLab(t, s.options)
	if s.setUp != nil {
		s.setUp(l)
	}
	for _, step := range s.replay {
		if hook, ok := hooks[step]; ok {
			hook(l)
			continue
		}
		tr := readTranscript(t, path.Join("testdata", generation, step+".txt"))
		got := l.replay(tr)
		want := tr.result
		compare(t, tr.name, want, got)
	}
}

// replay runs the command of a recording. The programs themselves handle `timeout N`, `cd DIR &&` sets the directory,
// and cat, ls and touch are those of the lab's file systems.
func (l *testLab) replay(tr transcript) result {
	l.t.Helper()
	node := tr.node
	if node == "" {
		node = "pve1"
	}
	command, dir := tr.command, "/root"
	if rest, ok := strings.CutPrefix(command, "cd "); ok {
		dir, command, _ = strings.Cut(rest, " && ")
	}
	argv, err := shell.Fields(command, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if argv[0] == "timeout" {
		argv = argv[2:]
	}
	switch argv[0] {
	case "cat":
		return result{stdout: l.read(node, argv[1])}
	case "ls":
		f, err := l.nodes[node].FS().Open(argv[1])
		if err != nil {
			l.t.Fatal(err)
		}
		names, err := f.Readdirnames(-1)
		if err != nil {
			l.t.Fatal(err)
		}
		slices.Sort(names)
		return result{stdout: strings.Join(names, "\n") + "\n"}
	case "touch":
		if _, err := l.nodes[node].FS().Create(argv[1]); err != nil {
			var reason = err.Error()[strings.LastIndex(err.Error(), ": ")+2:]
			return result{stderr: fmt.Sprintf("touch: cannot touch '%s': %s\n", argv[1], strings.ToUpper(reason[:1])+reason[1:]), code: 1}
		}
		return result{}
	}
	for i, arg := range argv {
		if fingerprint.MatchString(arg) {
			argv[i] = l.fingerprint("pve1")
		}
	}
	var out, errs strings.Builder
	n, _ := attached(l.nodes[node])
	c := &Command{World: l.world, Node: n, Argv: argv, Dir: dir, Stdin: strings.NewReader(tr.stdin), Stdout: &out, Stderr: &errs}
	code := Run(l.t.Context(), c)
	return result{stdout: out.String(), stderr: errs.String(), code: code}
}

// normalisations replace what differs from run to run, in recordings and results, with a placeholder.
var normalisations = []struct {
	why     string
	pattern *regexp.Regexp
	with    string
}{
	{"dates", regexp.MustCompile(`(Mon|Tue|Wed|Thu|Fri|Sat|Sun) [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}`), "DATE"},
	{"times in ISO form", regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(\+0000|Z)`), "TIME"},
	{"times of task logs", regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d `), "TIME "},
	{"times of guests", regexp.MustCompile(`ctime=\d+`), "ctime=EPOCH"},
	{"certificates", fingerprint, "FINGERPRINT"},
	{"backup names", regexp.MustCompile(`config-\d+\.sql\.gz`), "config-EPOCH.sql.gz"},
	{"UUIDs", regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{"digests of files with keys in random order", regexp.MustCompile(`"[0-9a-f]{40}"`), `"DIGEST"`},
	{"kernels", regexp.MustCompile(`running kernel: [^)]*`), "running kernel: KERNEL"},
	{"thread ids", regexp.MustCompile(`\b[0-9a-f]{12} -1 `), "THREAD -1 "},
	{"temporary files", regexp.MustCompile(`pvecertreq-\d+\.tmp`), "pvecertreq.tmp"},
	{"ages", regexp.MustCompile(`(age|since) [0-9.]+[smhd]`), "$1 AGE"},
	{"use of the root disk", regexp.MustCompile(`(264212084 +)\d+ +\d+ +\d\.\d\d%`), "${1}USE"},
	{"the order of nodes in groups.cfg", regexp.MustCompile(`nodes pve1,pve3,pve2`), "nodes pve1,pve2,pve3"},
	{"warnings of the recording lab's disks and Python", regexp.MustCompile(`(?m)^ +(13 mgr modules have failed dependencies|mons? .* low on available space)\n`), ""},
}

var fingerprint = regexp.MustCompile(`([0-9A-F]{2}:){31}[0-9A-F]{2}`)

// compare compares a recording with the simulator's result.
func compare(t *testing.T, name string, want, got result) {
	t.Helper()
	normal := func(s string) string {
		for _, n := range normalisations {
			s = n.pattern.ReplaceAllString(s, n.with)
		}
		return s
	}
	if want.exit == "TIMEOUT" {
		want.code, want.stderr = got.code, got.stderr // the simulated program eventually gives up
	}
	if want.code != got.code {
		t.Errorf("%s: exit %d, the real one %d", name, got.code, want.code)
	}
	if diff := cmp.Diff(normal(want.stderr), normal(got.stderr)); diff != "" {
		t.Errorf("%s: stderr (-real +simulated):\n%s", name, diff)
	}
	wanted, simulated := jsonOf(want.stdout), jsonOf(got.stdout)
	if wanted != nil && simulated != nil {
		if diff := cmp.Diff(wanted, simulated); diff != "" {
			t.Errorf("%s: stdout (-real +simulated):\n%s", name, diff)
		}
		return
	}
	if diff := cmp.Diff(normal(strings.TrimSuffix(want.stdout, "\n")), normal(strings.TrimSuffix(got.stdout, "\n"))); diff != "" {
		t.Errorf("%s: stdout (-real +simulated):\n%s", name, diff)
	}
}

// measured are keys whose values depend on the machine, not on the state.
var measured = []string{"cpu", "disk", "mem", "uptime", "maxdisk", "maxmem", "timestamp", "uid", "digest", "config_digest", "pve_fp", "ssl_fingerprint", "fsid", "addr", "kernel_description", "kernel_version", "mem_total_kb"}

// jsonOf parses JSON, sorting lists and omitting measured values. It returns nil if the text is not JSON.
func jsonOf(text string) any {
	var value any
	if json.Unmarshal([]byte(text), &value) != nil {
		return nil
	}
	return canonicalise(value, "")
}

func canonicalise(value any, key string) any {
	switch value := value.(type) {
	case map[string]any:
		for _, k := range sortedKeys(value) {
			if value[k] == nil { // null and absent are equivalent
				delete(value, k)
				continue
			}
			if slices.Contains(measured, k) {
				value[k] = "MEASURED"
				continue
			}
			value[k] = canonicalise(value[k], k)
		}
		if key == "results" { // keyed by random IDs
			var entries []any
			for _, k := range sortedKeys(value) {
				entries = append(entries, value[k])
			}
			return canonicalise(entries, "")
		}
		return value
	case []any:
		for i := range value {
			value[i] = canonicalise(value[i], "")
		}
		slices.SortFunc(value, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		return value
	case string:
		for _, n := range normalisations {
			value = n.pattern.ReplaceAllString(value, n.with)
		}
		if key == "content" || key == "nodes" {
			parts := strings.Split(value, ",")
			slices.Sort(parts)
			return strings.Join(parts, ",")
		}
		return value
	}
	return value
}
