package machine

import (
	"context"
	"strings"
	"testing"
)

// Transient units and programs started by setsid outlive the session that started them. Their processes can be waited
// for.
func TestTransientUnits(t *testing.T) {
	for _, start := range []string{
		"systemd-run --quiet --collect --unit=long.service --property=Type=oneshot --property=KillMode=process /bin/sh /root/carry",
		"setsid sh /root/carry </dev/null >/dev/null 2>&1",
	} {
		m := New(Config{Name: "node"})
		expect(t, m, `echo 'echo $$ >/root/pid; until [ -e /root/go ]; do sleep 1; done; echo done >/root/done; exit 3' >/root/carry`, 0)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int)
		var out, errs strings.Builder
		go func() { ended <- m.Console(ctx, &out, &errs, "sh", "-c", start) }()
		expect(t, m, "until [ -s /root/pid ]; do sleep 1; done", 0)
		cancel()
		<-ended
		if strings.HasPrefix(start, "systemd-run") {
			expect(t, m, "systemctl is-active long.service", 0, "active")
			expect(t, m, start, 1, "was already loaded")
		}
		expect(t, m, "timeout 1 tail --pid=$(cat /root/pid) -s 0.1 -f /dev/null; echo $?; test -e /root/done", 1, "124")
		expect(t, m, "touch /root/go; tail --pid=$(cat /root/pid) -f /dev/null; cat /root/done", 0, "done")
		expect(t, m, "until ! systemctl is-active long; do sleep 1; done; systemctl show -p LoadState --value long.service", 0, "not-found")
	}
}
