package proxmox

import (
	"regexp"
	"strings"
	"testing"
	"time"
)

// A node that is lost was fenced before its guests are recovered: they run no more, whoever looked in between, and the
// locks of what ran there are gone. Any other lock stays, and keeps the guest from starting.
func TestRecoveredGuestLocks(t *testing.T) {
	for name, wait := range map[string]func(*testLab){
		"looking on":   func(l *testLab) { l.watch(10 * time.Minute) },
		"a clock jump": func(l *testLab) { l.clock.Advance(10 * time.Minute); l.watch(2 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, labOptions{guests: map[string]string{"100": "vm", "101": "vm", "102": "vm", "200": "ct", "201": "ct"}})
			l.form("lab", 3)
			for _, sid := range []string{"vm:100", "vm:101", "vm:102", "ct:200", "ct:201"} {
				l.ok("pve1", "ha-manager", "add", sid)
			}
			l.clock.Advance(time.Minute)
			l.ok("pve1", "qm", "set", "100", "--memory", "4096", "--cores", "3") // the cores are a pending change
			l.ok("pve1", "qm", "set", "100", "--lock", "backup")
			l.ok("pve1", "qm", "set", "101", "--lock", "create")
			l.ok("pve1", "pct", "set", "200", "--lock", "mounted")
			l.ok("pve1", "pct", "set", "201", "--lock", "disk")
			l.off("pve1")
			wait(l)
			status := l.ok("pve2", "ha-manager", "status")
			for sid, want := range map[string]string{"vm:100": "started", "vm:101": "error", "vm:102": "started", "ct:200": "started", "ct:201": "error"} {
				if !regexp.MustCompile(`service ` + sid + ` \(pve[23], ` + want + `\)`).MatchString(status) {
					t.Errorf("%s is not %s elsewhere:\n%s", sid, want, status)
				}
			}
			guests := l.ok("pve2", "qm", "list") + l.ok("pve3", "qm", "list") + l.ok("pve2", "pct", "list") + l.ok("pve3", "pct", "list")
			for id, want := range map[string]string{"100": "running", "101": "stopped", "102": "running", "200": "running", "201": "stopped"} {
				if !regexp.MustCompile(`(?m)^ *` + id + ` .*` + want).MatchString(guests) {
					t.Errorf("guest %s is not %s:\n%s", id, want, guests)
				}
			}
			configs := map[string]string{}
			l.world.at(func(v *view) {
				for id, g := range v.database("pve2").guests() {
					configs[id] = g.config
				}
			})
			for id, lock := range map[string]string{"100": "", "101": "lock: create", "200": "", "201": "lock: disk"} {
				if config := configs[id]; lock == "" && strings.Contains(config, "lock:") || !strings.Contains(config, lock) {
					t.Errorf("guest %s, expected %q:\n%s", id, lock, config)
				}
			}
			if !strings.Contains(configs["100"], "cores: 3") || strings.Contains(configs["100"], "PENDING") {
				t.Errorf("the pending change was lost:\n%s", configs["100"])
			}
		})
	}
}

// watch looks at the cluster every ten seconds.
func (l *testLab) watch(d time.Duration) {
	for ; d > 0; d -= crmLoop {
		l.clock.Advance(crmLoop)
		l.ok("pve2", "ha-manager", "status")
	}
}

// A locked guest cannot be migrated: it goes on running where it is.
func TestLockedGuestIsNotMigrated(t *testing.T) {
	l := newLab(t, labOptions{guests: map[string]string{"100": "vm"}})
	l.form("lab", 3)
	l.ok("pve1", "ha-manager", "add", "vm:100")
	l.clock.Advance(time.Minute)
	l.ok("pve1", "qm", "set", "100", "--lock", "backup")
	l.ok("pve1", "ha-manager", "crm-command", "node-maintenance", "enable", "pve1")
	l.clock.Advance(2 * time.Minute)
	if got := l.ok("pve1", "qm", "list"); !strings.Contains(got, "running") {
		t.Errorf("the locked guest has left pve1, or stopped:\n%s", got)
	}
	l.ok("pve1", "qm", "unlock", "100")
	l.clock.Advance(2 * time.Minute)
	if got := l.ok("pve1", "ha-manager", "status"); !regexp.MustCompile(`service vm:100 \(pve[23], started\)`).MatchString(got) {
		t.Errorf("the guest does not leave pve1 once it is unlocked:\n%s", got)
	}
}
