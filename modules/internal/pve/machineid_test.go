package pve

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

func TestParseMachineIDs(t *testing.T) {
	const two = "/etc/pve/nodes/pve1/qemu-server/100.conf:smbios1: uuid=5E4F2A6B-0000-4000-8000-00000000000A\n" +
		"/etc/pve/nodes/pve1/qemu-server/100.conf:smbios1: uuid=5E4F2A6B-0000-4000-8000-00000000000A\n" + // the UUID of a snapshot
		"/etc/pve/nodes/pve2/qemu-server/101.conf:smbios1: base64=1,serial=YQ==,uuid=5e4f2a6b-0000-4000-8000-00000000000b\n"
	for name, test := range map[string]struct {
		a    remote.Answer
		want map[string]int
		fail bool
	}{
		"two":            {remote.Answer{Stdout: []byte(two)}, map[string]int{"5e4f2a6b-0000-4000-8000-00000000000a": 100, "5e4f2a6b-0000-4000-8000-00000000000b": 101}, false},
		"none":           {remote.Answer{Exit: 2, Stderr: []byte("grep: /etc/pve/nodes/*/qemu-server/*.conf: No such file or directory\n")}, map[string]int{}, false},
		"no line":        {remote.Answer{Exit: 1}, map[string]int{}, false},
		"pmxcfs is away": {remote.Answer{Exit: 2, Stderr: []byte("grep: /etc/pve/nodes: Transport endpoint is not connected\n")}, nil, true},
	} {
		got, err := parseMachineIDs(test.a)
		if diff := cmp.Diff(test.want, got); diff != "" || (err != nil) != test.fail {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}
