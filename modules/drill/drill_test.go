package drill

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
	"hlplay/modules/survival"
)

// sound returns a cluster of three nodes that survives the loss of any one of them.
func sound() survival.Cluster {
	c := survival.Cluster{Name: "dream", FileSystems: []string{"cephfs"}}
	for _, name := range []string{"pve1", "pve2", "pve3"} {
		c.Nodes = append(c.Nodes, survival.Node{Name: name, Votes: 1, Online: true})
		c.Monitors = append(c.Monitors, survival.Daemon{Node: name})
		c.MetadataServers = append(c.MetadataServers, survival.Daemon{Node: name})
		c.OSDs = append(c.OSDs, survival.OSD{Node: name, Up: true})
	}
	c.Pools = []survival.Pool{{Name: "vm-disks", Size: 3, MinSize: 2, Spread: survival.Spread{PerHost: 1}}}
	c.Guests = []survival.Guest{{ID: "vm:100", Node: "pve1"}}
	return c
}

func TestDrillRefused(t *testing.T) {
	for name, test := range map[string]struct {
		change func(c *survival.Cluster)
		want   string // part of what is said; empty for nothing
	}{
		"nothing":                  {func(*survival.Cluster) {}, ""},
		"two nodes":                {func(c *survival.Cluster) { c.Nodes = c.Nodes[:2] }, "the cluster would lose its quorum: 1 of 2 votes"},
		"two nodes and a QDevice":  {func(c *survival.Cluster) { c.Nodes, c.DeviceVotes = c.Nodes[:2], 1 }, ""},
		"a node away":              {func(c *survival.Cluster) { c.Nodes[2].Online = false }, "pve3 is offline already"},
		"maintenance":              {func(c *survival.Cluster) { c.Nodes[1].Maintenance = true }, "pve2 is in maintenance mode"},
		"two monitors":             {func(c *survival.Cluster) { c.Monitors = c.Monitors[:2] }, "the monitors would lose their quorum: 1 of 2"},
		"min_size equal to size":   {func(c *survival.Cluster) { c.Pools[0].MinSize = 3 }, "pool vm-disks would stop or could stop: fewer copies than min_size"},
		"a rule that nobody knows": {func(c *survival.Cluster) { c.Pools[0].Spread.Unknown = "made by hand" }, "pool vm-disks would stop or could stop: made by hand"},
		"one metadata server":      {func(c *survival.Cluster) { c.MetadataServers = c.MetadataServers[:1] }, "CephFS would have 0 metadata servers"},
		"a bound guest":            {func(c *survival.Cluster) { c.Guests[0].Bound = "scsi0 lies on local" }, "no other node could run vm:100: scsi0 lies on local"},
		"another guest is bound":   {func(c *survival.Cluster) { c.Guests[0].Bound, c.Guests[0].Node = "scsi0 lies on local", "pve2" }, ""},
		"no such node":             {func(c *survival.Cluster) { c.Nodes[0].Name = "other" }, "has no node pve1"},
	} {
		t.Run(name, func(t *testing.T) {
			c := sound()
			test.change(&c)
			got := strings.Join(Against(c, "pve1"), "\n")
			if !strings.Contains(got, test.want) || (got == "") != (test.want == "") {
				t.Errorf("what speaks against it is %q, want %q", got, test.want)
			}
		})
	}
}

func TestWhichGuestsAreWatched(t *testing.T) {
	ha := pve.HA{
		Resources: map[string]pve.Resource{"vm:100": {State: "started"}, "vm:101": {State: "started"}, "ct:102": {State: "stopped"}, "vm:103": {State: "started"}},
		Services: map[string]pve.Service{"vm:100": {Node: "pve1", State: "started", Running: true}, "vm:101": {Node: "pve1", State: "started", Running: true},
			"ct:102": {Node: "pve1", State: "stopped"}, "vm:103": {Node: "pve2", State: "started", Running: true}},
	}
	for name, test := range map[string]struct {
		named   []string
		running map[int]bool
		state   string // of vm:103
		watched string
		problem string
	}{
		"all":                    {nil, map[int]bool{100: true, 101: true}, "started", "vm:100 vm:101", ""},
		"one":                    {[]string{"vm:101"}, map[int]bool{100: true, 101: true}, "started", "vm:101", ""},
		"one of another node":    {[]string{"vm:103"}, nil, "started", "vm:103", "vm:103 is not running on pve1"},
		"one that is stopped":    {[]string{"ct:102"}, nil, "started", "ct:102", "ct:102 is not running on pve1"},
		"one that is left alone": {nil, map[int]bool{100: true, 900: true}, "started", "vm:100 vm:101", "guest 900 runs on pve1 and is not highly available"},
		"an error anywhere":      {nil, nil, "error", "vm:100 vm:101", "vm:103 is in state error"},
	} {
		t.Run(name, func(t *testing.T) {
			ha := ha.Clone()
			ha.Services["vm:103"] = pve.Service{Node: "pve2", State: test.state, Running: true}
			watched, problems := (&Module{Guests: test.named}).guests(ha, "pve1", test.running)
			if got := strings.Join(watched, " "); got != test.watched {
				t.Errorf("watched are %q, want %q", got, test.watched)
			}
			if got := strings.Join(problems, "\n"); !strings.Contains(got, test.problem) || (got == "") != (test.problem == "") {
				t.Errorf("the problems are %q, want %q", got, test.problem)
			}
		})
	}
}

func TestTimesThatMakeNoSense(t *testing.T) {
	for name, m := range map[string]Module{
		"no node":               {Within: 2e11, Away: 3e11},
		"too little":            {Lose: "pve1", Within: 1e9, Away: 3e11},
		"back before it is due": {Lose: "pve1", Within: 3e11, Away: 2e11},
		"no guest":              {Lose: "pve1", Guests: []string{"100"}, Within: 2e11, Away: 3e11},
	} {
		if err := m.Validate(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// If the time is up, the drill fails and says what the watching host still misses. The scripts run in a real shell.
func TestNotInTime(t *testing.T) {
	dir := t.TempDir()
	members := filepath.Join(dir, "members")
	for name, c := range map[string]struct {
		script, online, manager string
		args                    []string
		want                    string // empty where the script succeeds
	}{
		"moved":     {elsewhere, "0", "service vm:100 (pve2, started)", []string{"pve1", "0", "vm:100"}, ""},
		"not moved": {elsewhere, "0", "service vm:100 (pve1, started)", []string{"pve1", "0", "vm:100"}, "timed out: service vm:100 (pve1, started)"},
		"starting":  {elsewhere, "0", "service vm:100 (pve2, starting)", []string{"pve1", "0", "vm:100"}, "timed out: service vm:100 (pve2, starting)"},
		"not gone":  {elsewhere, "1", "service vm:100 (pve2, started)", []string{"pve1", "0", "vm:100"}, "timed out: pve1 is still online"},
		"back":      {returned, "1", "", []string{"pve1", "0", "0"}, ""},
		"not back":  {returned, "0", "", []string{"pve1", "0", "0"}, "not recovered: pve1 is not online"},
		"clean":     {returned, "1", "33 pgs: 1 active+clean+scrubbing, 32 active+clean; 144 MiB data", []string{"pve1", "0", "1"}, ""},
		"no pools":  {returned, "1", "0 pgs: ; 0 B data, 0 B used", []string{"pve1", "0", "1"}, ""},
		"not clean": {returned, "1", "97 pgs: 32 active+undersized, 65 active+clean; 0 B data", []string{"pve1", "0", "1"}, "not recovered: placement groups are 32 active+undersized, 65 active+clean"},
	} {
		t.Run(name, func(t *testing.T) {
			for path, text := range map[string]string{
				members:                          `{"nodelist": {"pve1": {"id": 1, "online": ` + c.online + `}}}`,
				filepath.Join(dir, "ha-manager"): "#!/bin/sh\necho '" + c.manager + "'\n",
				// Warnings that do not concern the node do not delay its return.
				filepath.Join(dir, "ceph"): "#!/bin/sh\ncase $* in *health*) printf '%s\\n' 'HEALTH_WARN 2 pgs not deep-scrubbed in time' '[WRN] PG_NOT_DEEP_SCRUBBED: 2 pgs' ;; *) echo '" + c.manager + "' ;; esac\n",
			} {
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("sh", append([]string{"-c", strings.ReplaceAll(c.script, "/etc/pve/.members", members), "sh"}, c.args...)...)
			cmd.Env = []string{"PATH=" + dir + ":" + os.Getenv("PATH")}
			out, err := cmd.CombinedOutput()
			if got := strings.TrimSpace(string(out)); got != c.want || (err == nil) != (c.want == "") {
				t.Errorf("it says %q and ends with %v, want %q", got, err, c.want)
			}
		})
	}
}

// A failure says what is wrong and what happens next, not which script was run.
func TestFailures(t *testing.T) {
	m := &Module{Within: 4 * time.Minute, Away: 6 * time.Minute, Returns: 10 * time.Minute}
	for said, test := range map[string]struct {
		step modules.Step
		want string
	}{
		"Failed to start transient timer unit: Unit hlplay-drill.timer was already loaded.\n": {m.lose(nil, "pve1", true),
			"pve1 could not be stopped: Failed to start transient timer unit: Unit hlplay-drill.timer was already loaded.; the stopped services are started again after 6m, if hlplay-drill.timer"},
		"timed out: service vm:100 (pve1, started)\n": {m.watch("pve1", []string{"vm:100"}),
			"the drill failed: timed out: service vm:100 (pve1, started); the timer on pve1 restarts the stopped services 6m after it was stopped"},
		"not recovered: pve1 is not online\n": {m.back("pve1", false),
			"pve1 is not back: not recovered: pve1 is not online; see systemctl status corosync.service there"},
	} {
		explain := test.step.Action.(modules.Run).Explain
		if err := explain(1, nil, []byte(said)); err == nil || !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%q is explained as %v, want %q", said, err, test.want)
		}
		if err := explain(1, nil, nil); err != nil {
			t.Errorf("a script that says nothing is explained as %v", err)
		}
	}
}
