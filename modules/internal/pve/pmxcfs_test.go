package pve

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
	"hlplay/modules/internal/modulestest"
)

// TestClusterFilesAreToldApart runs the query in a real shell on files of which one is empty, one is missing and one
// contains what looks like the beginning of another.
func TestClusterFilesAreToldApart(t *testing.T) {
	dir := t.TempDir()
	query := filesQuery
	query.Args = nil
	names := map[string]string{}
	for _, path := range filesQuery.Args {
		names[path] = filepath.Join(dir, filepath.Base(path))
		query.Args = append(query.Args, names[path])
	}
	contents := map[string]string{
		CephConfFile: "[global]\n\n" + StorageFile + ":dir: fake\n==> " + StorageFile + " <==\n",
		StorageFile:  "dir: local\n\tpath /x\n",
		membersFile:  "{\xff\x00}\n",
		RulesFile:    "",
	}
	for path, content := range contents {
		if err := os.WriteFile(names[path], []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := modulestest.Answers(t, []remote.Query{query})[0]
	for path, name := range names {
		a.Stdout = []byte(strings.ReplaceAll("\n"+string(a.Stdout), "\n"+name+":", "\n"+path+":"))[1:]
		a.Stderr = []byte(strings.ReplaceAll(string(a.Stderr), name+":", path+":"))
	}
	files := ParseFiles(a)
	for _, path := range filesQuery.Args {
		want, wanted := contents[path]
		got, exists, err := files.Read(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" || exists != wanted {
			t.Errorf("%s: exists %v, want %v; -want +got:\n%s", path, exists, wanted, diff)
		}
	}
}

func FuzzParseClusterFiles(f *testing.F) {
	a := clusterAnswer([]string{authKey, LocalLink}, map[string]string{membersFile: membersText, corosyncFile: corosyncText})
	f.Add(a.Stdout, a.Stderr, a.Exit)
	f.Add([]byte("/etc/pve/.members"), []byte("grep: /etc/pve/.members: "), 2)
	f.Add([]byte(""), []byte("Killed"), 137)
	f.Fuzz(func(t *testing.T, stdout, stderr []byte, exit int) {
		files := ParseFiles(remote.Answer{Stdout: stdout, Stderr: stderr, Exit: exit})
		for _, path := range filesQuery.Args {
			content, exists, err := files.Read(path)
			if len(content) > 0 && (!exists || err != nil) {
				t.Errorf("%s has a content, exists %v and the error %v", path, exists, err)
			}
		}
	})
}

func FuzzParseNode(f *testing.F) {
	f.Add([]byte("name pve1\ncodename trixie\npackage pve-manager 9.2.11 install ok installed\n"))
	f.Fuzz(func(t *testing.T, stdout []byte) {
		a := remote.Answer{Stdout: stdout}
		if n, err := parseNode(a); err == nil && n.Name == "" {
			t.Error("a node without a name, and no error")
		}
	})
}
