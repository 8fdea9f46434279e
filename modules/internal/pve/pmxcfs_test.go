package pve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// TestClusterFilesAreToldApart runs the query in a real shell on files of which one is empty, one is missing and one
// holds what looks like the beginning of another.
func TestClusterFilesAreToldApart(t *testing.T) {
	dir := t.TempDir()
	query := clusterQuery
	query.Args = nil
	names := map[string]string{}
	for _, path := range clusterQuery.Args {
		names[path] = filepath.Join(dir, filepath.Base(path))
		query.Args = append(query.Args, names[path])
	}
	contents := map[string]string{
		cephConfFile: "[global]\n\n" + storageFile + ":dir: fake\n==> " + storageFile + " <==\n",
		storageFile:  "dir: local\n\tpath /x\n",
		membersFile:  "{\xff\x00}\n",
		rulesFile:    "",
	}
	for path, content := range contents {
		if err := os.WriteFile(names[path], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := shell(t, []remote.Query{query})[0]
	for path, name := range names {
		a.Stdout = []byte(strings.ReplaceAll("\n"+string(a.Stdout), "\n"+name+":", "\n"+path+":"))[1:]
		a.Stderr = []byte(strings.ReplaceAll(string(a.Stderr), name+":", path+":"))
	}
	files := parseClusterFiles(a)
	for _, path := range clusterQuery.Args {
		want, wanted := contents[path]
		got, exists, err := files.read(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" || exists != wanted {
			t.Errorf("%s: exists %v, want %v; -want +got:\n%s", path, exists, wanted, diff)
		}
	}
}

func FuzzParseClusterFiles(f *testing.F) {
	a := clusterAnswer([]string{authKey, localLink}, map[string]string{membersFile: membersText, corosyncFile: corosyncText})
	f.Add(a.Stdout, a.Stderr, a.Exit)
	f.Add([]byte("/etc/pve/.members"), []byte("grep: /etc/pve/.members: "), 2)
	f.Add([]byte(""), []byte("Killed"), 137)
	f.Fuzz(func(t *testing.T, stdout, stderr []byte, exit int) {
		files := parseClusterFiles(remote.Answer{Stdout: stdout, Stderr: stderr, Exit: exit})
		for _, path := range clusterQuery.Args {
			content, exists, err := files.read(path)
			if len(content) > 0 && (!exists || err != nil) {
				t.Errorf("%s has a content, exists %v and the error %v", path, exists, err)
			}
		}
	})
}

func FuzzParseFindings(f *testing.F) {
	f.Add([]byte("name pve1\ncodename trixie\nconf /etc/pve/ceph.conf\npackage ceph-mon 1:19.2.3-pve2 install ok installed\n"))
	f.Fuzz(func(t *testing.T, stdout []byte) {
		a := remote.Answer{Stdout: stdout}
		if n, err := parseNode(a); err == nil && n.Name == "" {
			t.Error("a node without a name, and no error")
		}
		if _, err := parseCephNode(a); err != nil {
			t.Errorf("an answer that ended well: %v", err)
		}
	})
}
