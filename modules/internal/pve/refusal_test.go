package pve

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// Whatever a command of Proxmox VE prints when it loses the cluster file system, there is exactly one piece of advice.
func TestRefusals(t *testing.T) {
	for stderr, want := range map[string]string{
		"trying to acquire cfs lock 'file-storage_cfg' ...\ntrying to acquire cfs lock 'file-storage_cfg' ...\nupdate storage failed: cfs-lock 'file-storage_cfg' error: no quorum!\n": "bring the missing members back",
		"cluster not ready - no quorum?\n": "bring the missing members back",
		"got timeout when trying to ensure cluster certificates and base file hierarchy is set up - no quorum (yet) or hung pmxcfs?\n": "bring the missing members back",
		"ipcc_send_rec[1] failed: Connection refused\nUnable to load access control list: Connection refused\n":                        "systemctl start pve-cluster.service",
		"unable to open file '/etc/pve/storage.cfg.tmp.812' - Transport endpoint is not connected\n":                                   "systemctl start pve-cluster.service",
		"unable to create directory '/etc/pve/nodes/pve3' - Permission denied\n":                                                       "check whether the cluster has quorum",
		"storage 'x' does not exist\n":                     "",
		"unable to open '/root/key' - Permission denied\n": "",
	} {
		err := fmt.Errorf("set storage x: %w", Explain(13, nil, []byte(stderr)))
		var refusal *Refusal
		if !errors.As(err, &refusal) {
			t.Fatalf("%q: %v", stderr, err)
		}
		if hint := refusal.Hint(); want == "" && hint != "" || !strings.Contains(hint, want) {
			t.Errorf("%q: hint %q, want %q", stderr, hint, want)
		}
		if strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "trying to acquire") > 1 {
			t.Errorf("%q is told as %q", stderr, err)
		}
	}
	if err := Explain(1, []byte("out"), nil); err != nil {
		t.Errorf("what printed nothing is told as %v", err)
	}
}
