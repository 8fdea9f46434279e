package remote

import (
	"strconv"
	"time"
)

// untilScript is the script of Until.
var untilScript = script("until")

// Until returns a query with which the host waits: it repeats a query until that exits with 0 or the limit has passed. What the
// query prints is dropped. The answer's code is 0 only if the query exited with 0. A lost connection ends the wait. If behind is not
// 0, the answer's code is 0 at once unless the acting shell's last command has exited with that code.
func Until(q Query, limit time.Duration, behind int) Query {
	// The host counts whole seconds, of which the first may be almost over, and pauses for 2 s at most.
	seconds := int(limit/time.Second) + 2
	tries := 4 + int(limit/LongestPause)
	return Query{
		Script: untilScript, Args: append([]string{strconv.Itoa(seconds), strconv.Itoa(tries), strconv.Itoa(behind), q.Script}, q.Args...),
		Limit: limit, User: q.User,
	}
}
