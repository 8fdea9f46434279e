package pve_firewall

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStatus asks on a node whose firewall is up to date, with and without the program of the firewall with nftables.
func TestStatus(t *testing.T) {
	const conf = "/etc/pve/local/host.fw"
	for _, c := range []struct {
		name  string
		make  func(node string) error
		waits bool
		want  string // in the complaint; empty if there is none
	}{
		{"no options", func(node string) error { return os.WriteFile(node+conf, []byte("[RULES]\n"), 0o644) }, false, ""},
		{"no file", func(string) error { return nil }, false, ""},
		{"nftables", func(node string) error { return os.WriteFile(node+conf, []byte("[OPTIONS]\n\nnftables: 1\n"), 0o644) }, true, ""},
		{"not readable", func(node string) error { return os.Mkdir(node+conf, 0o755) }, false, "host.fw"},
		{"no cluster file system", func(node string) error { return os.Remove(node + filepath.Dir(conf)) }, false, "/etc/pve/local is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			node := t.TempDir()
			programs := node + "/usr/libexec/proxmox"
			for _, dir := range []string{filepath.Dir(node + conf), programs, node + "/bin"} {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			for path, text := range map[string]string{
				programs + "/proxmox-firewall": "#!/bin/sh\n",
				node + "/bin/pve-firewall":     "#!/bin/sh\necho 'Status: enabled/running'\n",
				node + "/bin/sleep":            "#!/bin/sh\necho waits\n",
			} {
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.make(node); err != nil {
				t.Fatal(err)
			}
			script := strings.NewReplacer("/usr/libexec/", node+"/usr/libexec/", "/etc/pve/", node+"/etc/pve/").Replace(status)
			cmd := exec.Command("sh", "-c", script+"status /etc/pve/firewall/cluster.fw")
			cmd.Env = append(os.Environ(), "PATH="+node+"/bin:"+os.Getenv("PATH"))
			var complaint strings.Builder
			cmd.Stderr = &complaint
			out, err := cmd.Output()
			switch {
			case c.want != "" && (err == nil || !strings.Contains(complaint.String(), c.want)):
				t.Errorf("ended with %v and said %q, not %q", err, &complaint, c.want)
			case c.want == "" && err != nil:
				t.Errorf("%v: %s", err, &complaint)
			case c.waits != (string(out) == "waits\n"):
				t.Errorf("printed %q", out)
			}
		})
	}
}
