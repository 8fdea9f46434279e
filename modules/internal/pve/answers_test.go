package pve

import (
	"maps"
	"strings"

	"hlplay/engine/remote"
)

// clusterAnswer is the answer to filesQuery where those paths and the files are there, and no other.
func clusterAnswer(there []string, files map[string]string) remote.Answer {
	var a remote.Answer
	for _, path := range there {
		a.Stdout = append(a.Stdout, path+"\n"...)
	}
	for _, path := range filesQuery.Args {
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
	return clusterAnswer([]string{LocalLink}, all)
}

func text(s string) remote.Answer { return remote.Answer{Stdout: []byte(s)} }
