package pve

import (
	"maps"
	"strings"

	"hlplay/engine/remote"
)

// clusterAnswer returns the answer to filesQuery if the given paths and files exist, and no others.
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

// mountedAnswer returns the answer of a node that serves the given files and no other files of the cluster.
func mountedAnswer(files map[string]string) remote.Answer {
	all := map[string]string{membersFile: "{}\n"}
	maps.Copy(all, files)
	return clusterAnswer([]string{LocalLink}, all)
}

func text(s string) remote.Answer { return remote.Answer{Stdout: []byte(s)} }
