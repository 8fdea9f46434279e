package proxmox

import (
	"strings"
	"testing"

	parse "hlplay/engine/lab/transcript"
)

// transcript is a recording of a real program.
type transcript struct {
	name          string // the path below testdata, without .txt
	node, command string
	stdin         string
	result
}

func readTranscript(t *testing.T, file string) transcript {
	t.Helper()
	data, err := testdata.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := parse.Parse(string(data))
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return transcript{
		name: strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), node: tr.Node, command: tr.Command, stdin: tr.Stdin,
		result: result{stdout: tr.Stdout, stderr: tr.Stderr, code: tr.Code, exit: tr.Exit},
	}
}
