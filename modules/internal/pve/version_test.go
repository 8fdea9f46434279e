package pve

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// TestDigests compares the version of a file with the one that Proxmox VE 9.2 reported for the same file, as recorded.
func TestDigests(t *testing.T) {
	var storages []struct{ Digest string }
	if err := json.Unmarshal(modulestest.Recorded(t, "pvesh-get-storage.txt").Stdout, &storages); err != nil {
		t.Fatal(err)
	}
	if got := ParseFiles(mountedAnswer(nil)).Digest(StorageFile); got != storages[0].Digest { // recorded without a storage.cfg
		t.Errorf("digest %s of a storage.cfg that is not there, Proxmox VE says %s", got, storages[0].Digest)
	}
	var rules []struct{ Digest string }
	if err := json.Unmarshal(modulestest.Recorded(t, "pvesh-get-cluster-ha-rules.txt").Stdout, &rules); err != nil {
		t.Fatal(err)
	}
	// rules.cfg as written by Proxmox VE at the time.
	content := "node-affinity: keep-on-12\n\tnodes pve1:2,pve2:1\n\tresources vm:100\n\n"
	ha, err := parseHA(ParseFiles(mountedAnswer(map[string]string{RulesFile: content})))
	if err != nil {
		t.Fatal(err)
	}
	if got := ha.Digests[RulesFile]; got != rules[0].Digest {
		t.Errorf("digest %s of rules.cfg, Proxmox VE says %s", got, rules[0].Digest)
	}
}

// TestDigestOfARealFile reads files with the query in a real shell: a file whose last line lacks a newline differs
// from the same file with it.
func TestDigestOfARealFile(t *testing.T) {
	dir := t.TempDir()
	for _, content := range []string{"", "\n", "dir: local\n\tpath /x", "dir: local\n\tpath /x\n", "dir: local\n\tpath /x\n\n"} {
		name := filepath.Join(dir, "storage.cfg")
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		query := filesQuery
		query.Script = strings.ReplaceAll(query.Script, StorageFile, name)
		query.Args = []string{name}
		a := modulestest.Answers(t, []remote.Query{query})[0]
		a.Stdout = []byte(strings.ReplaceAll(string(a.Stdout), name, StorageFile))
		files := ParseFiles(a)
		if got, want := files.Digest(StorageFile), digestOf([]byte(content)); got != want {
			t.Errorf("%q: digest %s, want %s", content, got, want)
		}
	}
}
