package proxmox

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// live are recordings of a cluster of four nodes that ran the real code, replayed in a shell on the node. If an output
// has parts that are not simulated or are specific to the recording machine, only the given parts are compared.
var live = slices.Concat(liveCluster, liveGuests, liveCeph)

// liveScenario is a sequence of recordings, starting from the state that setUp creates.
type liveScenario struct {
	name  string
	ceph  string // the Ceph release whose packages are installed, if any
	setUp func(l *testLab)
	steps []liveStep
}

var liveCluster = []liveScenario{
	{name: "no quorum", setUp: func(l *testLab) { l.formFour(); l.stopCorosync("pve3", "pve4") }, steps: []liveStep{
		{play: "members.no-quorum"}, {play: "pvecm-status.corosync-stopped"}, {play: "pvesm-add.no-quorum"}, {play: "pvesm-set.no-quorum"},
	}},
	{name: "members", setUp: (*testLab).formFour, steps: []liveStep{{play: "same-name-cluster"}}},
	{name: "a locked guest under HA", setUp: func(l *testLab) {
		l.formFour()
		l.ok("pve1", "qm", "create", "100", "--name", "sso")
		l.ok("pve1", "ha-manager", "add", "vm:100", "--max_relocate", "1", "--max_restart", "1", "--state", "started", "--failback", "1")
		l.clock.Advance(time.Minute)
		l.world.at(func(v *view) { v.database("pve1").HA.Master = "pve2" })
	}, steps: []liveStep{
		{play: "manager_status.running"},
		{do: func(l *testLab) {
			l.ok("pve1", "qm", "create", "190", "--name", "locked", "--memory", "64", "--lock", "backup")
			l.ok("pve1", "ha-manager", "add", "vm:190")
			l.clock.Advance(2 * crmLoop)
		}},
		{play: "manager_status.starting-locked", only: regexp.MustCompile(`^\{|^quorum|^master|^service`), without: "failed_nodes"},
		{do: func(l *testLab) { l.clock.Advance(crmLoop) }},
		{play: "manager_status.error-locked", only: regexp.MustCompile(`^\{|^quorum|^master|^service|^vm|^\t`)},
		{do: func(l *testLab) {
			l.clock.Advance(3 * crmLoop)
			for _, refused := range [][]string{{"--state", "started"}, {"--max_restart", "2"}} {
				r := l.run("pve1", "", append([]string{"ha-manager", "set", "vm:190"}, refused...)...)
				if r.code == 0 || !strings.Contains(r.stderr, "service 'vm:190' in error state, must be disabled and fixed first") {
					l.t.Errorf("%v in state error: exit %d, %q; expected a refusal", refused, r.code, r.stderr)
				}
			}
		}},
		{play: "ha-manager-set.error-to-disabled"},
		{do: func(l *testLab) { l.clock.Advance(crmLoop) }},
		{play: "manager_status.after-disabled", only: regexp.MustCompile(`^\{|^quorum|^master|^service`)},
	}},
	{name: "rules", setUp: func(l *testLab) {
		l.formFour()
		l.ok("pve1", "qm", "create", "100", "--name", "sso")
		l.ok("pve1", "ha-manager", "add", "vm:100")
		l.ok("pve1", "ha-manager", "rules", "add", "node-affinity", "prefer-vm-100", "--resources", "vm:100", "--nodes", "pve1:2,pve2:1", "--strict", "0")
		l.clock.Advance(time.Minute)
	}, steps: []liveStep{{play: "ha-rules-resource-affinity"}}},
	{name: "maintenance", setUp: func(l *testLab) {
		l.formFour()
		l.ok("pve1", "qm", "create", "100")
		l.ok("pve1", "ha-manager", "add", "vm:100")
		l.ok("pve1", "qm", "create", "191")
		l.ok("pve1", "ha-manager", "add", "vm:191", "--state", "stopped")
		l.clock.Advance(time.Minute)
		l.world.at(func(v *view) {
			ha := &v.database("pve1").HA
			ha.Master = "pve2"
			for _, node := range []string{"pve2", "pve4"} {
				ha.lrm(node).Active = true // they had services a while ago
			}
		})
	}, steps: []liveStep{{play: "ha-manager-crm-command-node-maintenance.enable"}, {do: func(l *testLab) { l.clock.Advance(crmLoop) }}, {play: "ha-manager-crm-command-node-maintenance.disable"}}},
	{name: "descriptions", ceph: "18.2.7", setUp: func(l *testLab) {
		l.cephFour()
		l.ok("pve1", "pveceph", "pool", "create", "ha-disks", "--add_storages", "1")
		l.ok("pve1", "qm", "create", "100", "--name", "sso", "--cores", "1", "--memory", "2048", "--scsi0", "ha-disks:32")
	}, steps: []liveStep{{play: "qm-description"}}},
	{name: "a converged node", ceph: "18.2.7", setUp: func(l *testLab) {
		l.cephFour()
		l.ok("pve1", "pveceph", "mds", "create")
		l.ok("pve1", "pvesm", "set", "local", "--content", "iso")
		l.ok("pve1", "qm", "create", "100")
		l.ok("pve1", "ha-manager", "add", "vm:100")
		l.file("pve1", "/etc/network/interfaces", "auto lo\niface lo inet loopback\n\nauto host0\niface host0 inet static\n  address 10.77.0.11/24\n")
		l.clock.Advance(time.Minute)
	}, steps: []liveStep{
		// Debian's packages of Ceph give /etc/ceph to Ceph's user. The simulated root has an account, but not the host
		// keys of nodes.
		{play: "ls-etc-pve.converged", not: regexp.MustCompile(`^total|(root root|ceph ceph) (\.|ceph\.client\.admin\.keyring)$|user\.cfg$|ssh_known_hosts$`)},
		// Units of packages that are not simulated, of Debian's own Ceph, and of a firewall that was not installed
		// there.
		{play: "systemctl-list-unit-files.pve", not: regexp.MustCompile(`^(chrony|i?scsi|open-iscsi|postfix|ceph-fuse|ceph-mon\.|ceph-volume|pve-(firewall|sdn|storage|manager|daily-update\.service)|pvebanner)`), varies: regexp.MustCompile(` +`)},
		{play: "pve-cluster-stopped", not: regexp.MustCompile(`^total`)},
	}},
	{name: "a backup server that does not answer", setUp: (*testLab).formFour, steps: []liveStep{{play: "pvesm-add.pbs", only: regexp.MustCompile(`^create`)}}},
}

type liveStep struct {
	play string
	// only matches the lines to compare; nil means all. without is a JSON key that appears in the simulation at another
	// time.
	only    *regexp.Regexp
	without string
	// not matches the lines that are not compared.
	not *regexp.Regexp
	// varies matches what depends on the placement of PGs or the usage of disks.
	varies *regexp.Regexp
	do     func(l *testLab)
}

// formFour forms the recorded cluster, whose configuration was changed twice after the last node had joined.
func (l *testLab) formFour() {
	l.form("dream", 4)
	l.world.at(func(v *view) {
		db := v.database("pve1")
		conf := db.corosync().clone()
		conf.Version = 6
		db.Write(corosyncFile, []byte(conf.String()), v.now)
	})
}

func (l *testLab) stopCorosync(nodes ...string) {
	for _, node := range nodes {
		l.sh(node, "systemctl stop corosync")
	}
	l.clock.Advance(10 * time.Second)
}

func TestReplayLive(t *testing.T) {
	for _, s := range live {
		t.Run(s.name, func(t *testing.T) {
			noDefects(t)
			l := newLab(t, labOptions{count: 4, ceph: s.ceph})
			s.setUp(l)
			for _, step := range s.steps {
				if step.do != nil {
					step.do(l)
					continue
				}
				tr := readTranscript(t, "testdata/live92/"+step.play+".txt")
				got := l.sh(tr.node, tr.command)
				for _, stream := range []struct{ name, want, got string }{{"stdout", tr.stdout, got.stdout}, {"stderr", tr.stderr, got.stderr}} {
					if diff := cmp.Diff(step.lines(stream.want), step.lines(stream.got)); diff != "" {
						t.Errorf("%s: %s (-real +simulated):\n%s", step.play, stream.name, diff)
					}
				}
				if strings.Count(tr.command, ";") == 0 && got.code != tr.code {
					t.Errorf("%s: exit %d, the real one %d", step.play, got.code, tr.code)
				}
			}
		})
	}
}

// ofTheMachine matches lines about the recording machine's broken Python, full disk and OSDs without volumes, or about
// memory.
var ofTheMachine = regexp.MustCompile(`^\[WRN\] (MGR_MODULE_DEPENDENCY|MON_DISK_LOW):|^    Module '|^    mon\.pve\d has \d+% avail|^ +13 mgr modules have|^ +mons .* low on available|^umount: |^command '/bin/umount|^unable to get memory stat`)

// listing matches a line of ls -l. Link counts, sizes and times are not compared.
var listing = regexp.MustCompile(`^([a-z-]{10}) +\d+ (\S+) +(\S+) +\d+ \w{3} +\d+ +[\d:]+ `)

// asideOfTheMachine matches the same within a line.
var asideOfTheMachine = regexp.MustCompile(`13 mgr modules have failed dependencies; |mons \S+ are low on available space; `)

var (
	ring    = regexp.MustCompile(`^Ring ID: .*`)
	version = regexp.MustCompile(`"version": \d+`)
	entry   = regexp.MustCompile(`^  "\w+": \{.*\}$`)
)

// lines returns the lines of an output to compare, with JSON normalized and pmxcfs listings, whose order is arbitrary,
// sorted.
func (s liveStep) lines(text string) []any {
	var all []any
	var listed []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		for _, n := range normalisations {
			line = n.pattern.ReplaceAllString(line, n.with)
		}
		line = listing.ReplaceAllString(asideOfTheMachine.ReplaceAllString(line, ""), "$1 $2 $3 ")
		if s.varies != nil {
			line = s.varies.ReplaceAllString(line, "VARIES")
		}
		line = ring.ReplaceAllString(line, "Ring ID: N")
		line = version.ReplaceAllString(line, `"version": N`)
		if bare := strings.TrimSuffix(line, ","); entry.MatchString(bare) {
			listed = append(listed, bare)
			continue
		}
		slices.Sort(listed)
		for _, text := range listed {
			all = append(all, text)
		}
		listed = nil
		if s.only != nil && !s.only.MatchString(line) || ofTheMachine.MatchString(line) || s.not != nil && s.not.MatchString(line) {
			continue
		}
		var value any
		if (strings.HasPrefix(line, "{") || strings.HasPrefix(line, "[{")) && json.Unmarshal([]byte(line), &value) == nil {
			value = canonicalise(value, "")
			drop(value, s.without)
			all = append(all, value)
		} else {
			all = append(all, line)
		}
	}
	return all
}

// drop removes a key at all levels.
func drop(value any, key string) {
	if object, ok := value.(map[string]any); ok && key != "" {
		delete(object, key)
		for _, inner := range object {
			drop(inner, key)
		}
	}
}

// While pve-cluster is stopped, root's authorized_keys is a dangling link and nobody can log in, but what others see of
// the node does not change.
func TestNoLoginWhilePveClusterIsStopped(t *testing.T) {
	l := newLab(t, labOptions{count: 2})
	l.form("dream", 2)
	l.sh("pve2", "systemctl stop pve-cluster")
	for line, want := range map[string]string{
		"ls -A /etc/pve":                      "",
		"cat /root/.ssh/authorized_keys":      "cat: /root/.ssh/authorized_keys: No such file or directory",
		"readlink /root/.ssh/authorized_keys": "/etc/pve/priv/authorized_keys",
		"cat /etc/pve/.members":               "cat: /etc/pve/.members: No such file or directory",
		"qm list":                             "ipcc_send_rec[1] failed: Connection refused",
		"pvesm status":                        "ipcc_send_rec[1] failed: Connection refused",
		"pvecm status":                        "ipcc_send_rec[1] failed: Connection refused",
	} {
		r := l.sh("pve2", line)
		got := r.stdout + r.stderr
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %q, expected %q", line, got, want)
		}
	}
	l.sh("pve2", "systemctl start pve-cluster")
	l.clock.Advance(mountDelay)
	if got := l.sh("pve2", "cat /root/.ssh/authorized_keys"); got.code != 0 || !strings.Contains(got.stdout, "ssh-rsa") {
		t.Errorf("after its start: %+v, expected the cluster's keys", got)
	}
}
