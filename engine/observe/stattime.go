package observe

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// statTime is the layout of stat's %y.
const statTime = "2006-01-02 15:04:05.999999999 -0700"

// ParseTimes parses the output of `stat -c '%y %n'` and returns modification times by name. Some of the files may be
// missing, including patterns that match nothing; any other complaint of stat is an error.
func ParseTimes(a remote.Answer) (map[string]time.Time, error) {
	complaints := Lines(a.Stderr)
	for _, complaint := range complaints {
		if !isAbsence(complaint) {
			return nil, errors.New(complaint)
		}
	}
	if a.Exit != 0 && len(complaints) == 0 {
		return nil, fmt.Errorf("stat: %s", remote.Ending(a.Exit))
	}
	times := map[string]time.Time{}
	for line := range strings.Lines(string(a.Stdout)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(fields) != 4 {
			return nil, fmt.Errorf("stat printed %q, expected a time and a name", line)
		}
		t, err := time.Parse(statTime, strings.Join(fields[:3], " "))
		if err != nil {
			return nil, fmt.Errorf("stat printed %q, expected a time and a name: %w", line, err)
		}
		times[fields[3]] = t
	}
	return times, nil
}
