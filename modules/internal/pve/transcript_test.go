package pve

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hlplay/engine/remote"
)

// streams matches where a recording's standard output begins and ends, in both forms of recording.
var (
	stdoutMark = regexp.MustCompile(`(?m)^(\[stdout\]|--- stdout \(\d+ bytes[^)]*\))\n`)
	stderrMark = regexp.MustCompile(`(?m)^(\[stderr\]|--- stderr \(\d+ bytes[^)]*\))\n`)
	exitMark   = regexp.MustCompile(`(?m)^exit=(\d+)$`)
)

// recorded is the answer that a recording holds.
func recorded(t testing.TB, name string) remote.Answer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	out, errs, exit := stdoutMark.FindIndex(text), stderrMark.FindIndex(text), exitMark.FindSubmatchIndex(text)
	if out == nil || errs == nil || exit == nil {
		t.Fatalf("%s is not a recording", name)
	}
	code, err := strconv.Atoi(string(text[exit[2]:exit[3]]))
	if err != nil {
		t.Fatal(err)
	}
	return remote.Answer{Stdout: bytes.Clone(text[out[1]:errs[0]]), Stderr: bytes.Clone(text[errs[1]:exit[0]]), Exit: code}
}

// clusterAnswer is the answer to clusterQuery where those paths and the files are there, and no other.
func clusterAnswer(there []string, files map[string]string) remote.Answer {
	var a remote.Answer
	for _, path := range there {
		a.Stdout = append(a.Stdout, path+"\n"...)
	}
	for _, path := range clusterQuery.Args {
		content, ok := files[path]
		if !ok {
			a.Stderr = append(a.Stderr, "grep: "+path+": No such file or directory\n"...)
			a.Exit = 2
		}
		for line := range strings.Lines(content) {
			a.Stdout = append(a.Stdout, path+":"+strings.TrimSuffix(line, "\n")+"\n"...)
		}
	}
	return a
}

// mountedAnswer is the answer of a node that serves those files and no other of the cluster.
func mountedAnswer(files map[string]string) remote.Answer {
	all := map[string]string{membersFile: "{}\n"}
	maps.Copy(all, files)
	return clusterAnswer([]string{localLink}, all)
}

// askedOf is the answer to cephQuery where the monitors printed that.
func askedOf(printed string) remote.Answer {
	return text("asked pve1 mon_host = 10.10.10.11 10.10.10.12\n" + printed)
}

func text(s string) remote.Answer { return remote.Answer{Stdout: []byte(s)} }
