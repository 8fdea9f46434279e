package machine

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

func timedatectl(_ context.Context, c *Call) int {
	o, ok := c.options("p:", "property=", "value", "no-pager", "all")
	if !ok {
		return 2
	}
	synced := "no"
	if c.Machine.units.Active("systemd-timesyncd") || c.Machine.units.Active("chrony") {
		synced = "yes"
	}
	now := c.Machine.clock.Now().UTC()
	zone := "Etc/UTC"
	if target, _, err := c.view().resolve("/etc/localtime", true); err == nil { // localtime(5)
		zone = strings.TrimPrefix(target, "/usr/share/zoneinfo/")
	}
	verb := "status"
	if len(o.rest) > 0 {
		verb = o.rest[0]
	}
	switch verb {
	case "status":
		c.printf("               Local time: %s\n           Universal time: %s\n                 RTC time: %s\n                Time zone: %s (UTC, +0000)\nSystem clock synchronized: %s\n              NTP service: active\n          RTC in local TZ: no\n", stamp(now), stamp(now), now.Format("Mon 2006-01-02 15:04:05"), zone, synced)
	case "show":
		values := map[string]string{"Timezone": zone, "NTP": "yes", "NTPSynchronized": synced, "CanNTP": "yes", "LocalRTC": "no"}
		wanted := o.values("p", "property")
		if len(wanted) == 0 {
			wanted = []string{"Timezone", "LocalRTC", "CanNTP", "NTP", "NTPSynchronized"}
		}
		for _, name := range wanted {
			if o.has("value") {
				c.printf("%s\n", values[name])
			} else {
				c.printf("%s=%s\n", name, values[name])
			}
		}
	case "set-timezone":
		if len(o.rest) < 2 {
			return c.Errorf("Too few arguments.")
		}
		if err := writeFile(c.view(), "/etc/timezone", o.rest[1]+"\n", 0o644); err != nil {
			return c.Errorf("%s", errText(err))
		}
	case "set-ntp":
	default:
		return notSimulated(c, verb)
	}
	return 0
}

func date(_ context.Context, c *Call) int {
	o, ok := c.options("ud:I::R", "utc", "date=", "iso-8601?")
	if !ok {
		return 2
	}
	now := c.Machine.clock.Now().UTC()
	if text := o.value("d", "date"); text != "" {
		seconds, err := strconv.ParseInt(strings.TrimPrefix(text, "@"), 10, 64)
		if err != nil || text[0] != '@' {
			return notSimulated(c, "-d "+text)
		}
		now = time.Unix(seconds, 0).UTC()
	}
	format := "+%a %b %e %H:%M:%S %Z %Y"
	switch {
	case len(o.rest) > 0:
		format = o.rest[0]
	case o.has("I", "iso-8601"):
		format = map[string]string{"": "+%F", "seconds": "+%FT%T+00:00"}[o.value("I", "iso-8601")]
	}
	if !strings.HasPrefix(format, "+") {
		return c.Errorf("cannot set date: Operation not permitted")
	}
	var b strings.Builder
	for i := 1; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		switch layout, known := dateVerbs[format[i]]; {
		case format[i] == 's':
			fmt.Fprint(&b, now.Unix())
		case format[i] == 'N':
			fmt.Fprintf(&b, "%09d", now.Nanosecond())
		case format[i] == '%':
			b.WriteByte('%')
		case format[i] == 'n':
			b.WriteByte('\n')
		case known:
			b.WriteString(now.Format(layout))
		default:
			return notSimulated(c, "%"+format[i:i+1])
		}
	}
	c.printf("%s\n", b.String())
	return 0
}

var dateVerbs = map[byte]string{'Y': "2006", 'm': "01", 'd': "02", 'H': "15", 'M': "04", 'S': "05", 'y': "06", 'b': "Jan", 'B': "January", 'a': "Mon", 'A': "Monday", 'e': "_2",
	'F': "2006-01-02", 'T': "15:04:05", 'R': "15:04", 'z': "-0700", 'Z': "MST", 'N': "000000000", 'D': "01/02/06", 'p': "PM", 'I': "03"}

func stamp(t time.Time) string { return t.UTC().Format("Mon 2006-01-02 15:04:05 UTC") }
