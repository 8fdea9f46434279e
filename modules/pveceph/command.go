package pveceph

import (
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// pveceph runs one of its commands, none of which may be started twice. Locks of other nodes are waited for.
func pveceph(limit time.Duration, args ...string) modules.Run {
	return modules.Run{
		Argv:     append([]string{"pveceph"}, args...),
		Dir:      "/root",
		Limit:    limit,
		Long:     true,
		Retry:    []string{"got lock request timeout", "can't lock file"},
		Patience: 2 * time.Minute,
		Explain:  explain,
	}
}

// explain turns a failure into pveceph's own words; its exit codes mean nothing.
func explain(exit int, _, stderr []byte) error {
	switch exit {
	case 124, 137, 143: // its limit, or somebody else, ended it
		return nil
	}
	var lines []string
	for line := range strings.Lines(string(stderr)) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.Contains(line, "DNS SRV") { // printed on success, too
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil
	}
	return pve.Refused(strings.Join(lines, "; "))
}

// cephCommand runs a command of ceph itself that changes something. It reports success on standard error, too.
func cephCommand(args ...string) modules.Run {
	return modules.Run{
		Argv:    append([]string{"ceph", "-c", linkTarget, "--connect-timeout", "10"}, args...),
		Limit:   time.Minute,
		Explain: explain,
	}
}
