package observe

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// holdsWith asks whether values hold on a host where a program prints a text. getent prints it of groups, and of accounts a line.
func holdsWith(t *testing.T, program, prints string, queries []remote.Query) bool {
	t.Helper()
	script := "if [ \"$1\" = passwd ]; then echo ada:x:7:8:Ada:/home/ada:/bin/sh; exit; fi\nprintf %s " + "'" + strings.ReplaceAll(prints, "'", `'\''`) + "'"
	return holdsAmid(t, map[string]string{program: script}, queries...)
}

// holdsAmid reports whether queries are met where these programs, by name, are scripts.
func holdsAmid(t *testing.T, programs map[string]string, queries ...remote.Query) bool {
	t.Helper()
	dir := t.TempDir()
	for name, script := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, q := range queries {
		c := exec.Command("sh", append([]string{"-c", q.Script, "sh"}, q.Args...)...)
		c.Env = append(c.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		if out, err := c.Output(); len(out) > 0 {
			t.Errorf("it printed %q", out)
		} else if err != nil {
			return false
		}
	}
	return true
}

// A unit holds until any of its properties changes.
func TestUnitsHold(t *testing.T) {
	cron := []string{"Id=cron.service", "LoadState=loaded", "ActiveState=active", "SubState=running", "UnitFileState=enabled", "SourcePath=", "NeedDaemonReload=no", "LoadError= \"\""}
	none := []string{"Id=no-such.service", "LoadState=not-found", "ActiveState=inactive", "SubState=dead", "LoadError=org.freedesktop.systemd1.NoSuchUnit \"Unit no-such.service not found.\"", "NeedDaemonReload=no"}
	masked := []string{"Id=x.service", "LoadState=masked", "ActiveState=inactive", "SubState=dead", "UnitFileState=masked", "LoadError=org.freedesktop.systemd1.UnitMasked \"Unit x.service is masked.\"", "NeedDaemonReload=yes"}
	names := []string{"cron.service", "no-such.service", "x.service"}
	show := func(units ...[]string) string {
		var blocks []string
		for _, u := range units {
			blocks = append(blocks, strings.Join(u, "\n")+"\n")
		}
		return strings.Join(blocks, "\n")
	}
	seen := show(cron, none, masked)
	values := map[string]Unit{}
	for i, u := range parseUnits(seen) {
		values[names[i]] = u
	}
	queries, ok := Units.Holds(values)
	if !ok || !holdsWith(t, "systemctl", seen, queries) {
		t.Fatalf("what was seen does not hold: %v", values)
	}
	for _, prints := range []string{"", show(cron, none), show(none, cron, masked), show(cron, none, masked, cron), strings.ReplaceAll(seen, "\n\n", "\n")} {
		if holdsWith(t, "systemctl", prints, queries) {
			t.Errorf("it holds, too, when this is printed:\n%s", prints)
		}
	}
	for n, unit := range [][]string{cron, none, masked} {
		for i, line := range unit {
			property, _, _ := strings.Cut(line, "=")
			changed := append([]string{}, unit...)
			changed[i] = property + "=other"
			if property == "NeedDaemonReload" {
				changed[i] = map[bool]string{true: property + "=no", false: property + "=yes"}[n == 2]
			}
			if property == "LoadError" {
				changed[i] = "LoadError=org.freedesktop.systemd1.Other \"It is something else.\""
			}
			all := [][]string{cron, none, masked}
			all[n] = changed
			if holdsWith(t, "systemctl", show(all...), queries) {
				t.Errorf("it holds with %s", changed[i])
			}
		}
	}
	u := values["cron.service"]
	u.SubState = "" // not known beforehand
	queries, _ = Units.Holds(map[string]Unit{"cron.service": u})
	if !holdsWith(t, "systemctl", show(cron), queries) {
		t.Error("what a step leaves open is compared")
	}
	for name, u := range map[string]Unit{"rc.service": {Source: "/etc/init.d/rc"}, "no unit": {}, "odd.service": {LoadError: "a|b"}} {
		if _, ok := Units.Holds(map[string]Unit{name: u}); ok {
			t.Errorf("%q can be asked for", name)
		}
	}
}

// A condition about the units that a query right before it has shown compares what that has printed.
func TestUnitsHoldAsShown(t *testing.T) {
	const shown = "Id=b.service\nLoadState=loaded\nActiveState=active\nNeedDaemonReload=no\n\nId=a.service\nLoadState=loaded\nActiveState=active\nNeedDaemonReload=no"
	names := []string{"a.service", "b.service"}
	values := map[string]Unit{}
	for i, u := range parseUnits(shown) {
		values[names[i]] = u
	}
	holds, ok := Units.Holds(values)
	if !ok {
		t.Fatal("there is no query")
	}
	if shows := Units.Ask(names)[0]; shows.Says == "" || shows.Says != holds[0].Says || !slices.Equal(shows.Args, holds[0].Args[1:]) {
		t.Errorf("a query about %q says %q, and a condition about %q that it needs %q", shows.Args, shows.Says, holds[0].Args[1:], holds[0].Says)
	}
	for said, want := range map[string]bool{shown: true, strings.Replace(shown, "active", "failed", 1): false, "": false} {
		t.Setenv("_hl_said", said)
		if got := holdsWith(t, "systemctl", "it was asked again", holds); got != want {
			t.Errorf("%v, expected %v, when this was shown:\n%s", got, want, said)
		}
	}
}
