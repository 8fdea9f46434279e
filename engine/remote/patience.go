package remote

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/sshconfig"
)

// dialLimit returns the ConnectTimeout of the configuration. Zero means no limit, as "0" and "none" do for ssh.
func dialLimit(timeout sshconfig.Setting) (time.Duration, error) {
	if !timeout.Set() || strings.EqualFold(timeout.Value(), None) {
		return 0, nil
	}
	limit, ok := parseTime(timeout.Value())
	if !ok {
		return 0, timeout.Errorf("ConnectTimeout %s: want a time such as 60 or 1m30s, or none", timeout.Value())
	}
	return limit, nil
}

// maxTime is the longest accepted time, so that it does not overflow in nanoseconds.
const maxTime = 100 * 365 * 24 * time.Hour

// parseTime parses a time such as 90, 90s or 1h30m (TIME FORMATS in sshd_config(5)).
func parseTime(text string) (total time.Duration, ok bool) {
	units := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour}
	for rest := strings.ToLower(text); rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		number, err := strconv.ParseInt(rest[:digits], 10, 64)
		unit := time.Second
		if rest = rest[digits:]; rest != "" {
			unit, rest = units[rest[0]], rest[1:]
		}
		if err != nil || unit == 0 || number > int64((maxTime-total)/unit) {
			return 0, false
		}
		total += time.Duration(number) * unit
	}
	return total, text != ""
}

// patient returns the options with the dial timeout for this host.
func (e *endpoint) patient(o Options) Options {
	o.DialTimeout = cmp.Or(o.DialTimeout, e.dialTimeout, DefaultDialTimeout) + o.Slack
	return o
}
