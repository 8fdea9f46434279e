package pveceph

import (
	"strings"
	"time"

	"hlplay/modules"
	"hlplay/modules/internal/pve"
)

// pveceph returns a command that runs pveceph. It waits for locks of other nodes, and must not be started twice.
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

// explain returns pveceph's own message for a failure; its exit codes mean nothing.
func explain(exit int, _, stderr []byte) error {
	switch exit {
	case 124, 137, 143: // the time limit, or a signal
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

// cephCommand returns a command that runs ceph to change something. ceph reports success on standard error as well.
func cephCommand(args ...string) modules.Run {
	return modules.Run{
		Argv:    append([]string{"ceph", "-c", linkTarget, "--connect-timeout", "10"}, args...),
		Limit:   time.Minute,
		Explain: explain,
	}
}
