package machine

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/spf13/afero"
)

// initDir holds the System V init scripts.
const initDir = "/etc/init.d/"

// initScript returns the path of the init script from which a unit is generated, or "".
func initScript(v view, unit string) string {
	script := initDir + strings.TrimSuffix(unit, ".service")
	if info, err := v.Stat(script); err != nil || info.Mode()&fs.ModeType != 0 || !strings.HasSuffix(unit, ".service") {
		return ""
	}
	return script
}

// initScriptLinks returns the links to an init script in /etc/rc?.d: those that start it (kind "S") or stop it ("K").
func initScriptLinks(v view, script, kind string) []string {
	var links []string
	for _, level := range []string{"S", "0", "1", "2", "3", "4", "5", "6"} {
		dir := "/etc/rc" + level + ".d"
		entries, err := afero.ReadDir(v, dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if name := e.Name(); len(name) > 3 && name[:1] == kind && name[3:] == path.Base(script) {
				links = append(links, path.Join(dir, name))
			}
		}
	}
	return links
}

// initScriptEnabled reports whether a script starts at boot, by the rules of systemd-sysv-install.
func initScriptEnabled(v view, script string) bool {
	for _, link := range initScriptLinks(v, script, "S") {
		if dir := path.Dir(link); dir == "/etc/rcS.d" || dir == "/etc/rc5.d" {
			return true
		}
	}
	return false
}

// enableInitScript does what update-rc.d does: an enabled script starts in the multi-user runlevels and stops in the
// others, a disabled one stops in all of them.
func enableInitScript(v view, script string, enabled bool) error {
	for _, kind := range []string{"S", "K"} {
		for _, link := range initScriptLinks(v, script, kind) {
			if err := v.Remove(link); err != nil {
				return err
			}
		}
	}
	for level := '0'; level <= '6'; level++ {
		kind := "K"
		if enabled && level >= '2' && level <= '5' {
			kind = "S"
		}
		dir := fmt.Sprintf("/etc/rc%c.d", level)
		if err := v.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		if err := v.SymlinkIfPossible("../init.d/"+path.Base(script), path.Join(dir, kind+"01"+path.Base(script))); err != nil {
			return err
		}
	}
	return nil
}
