package main

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	vcs := func(modified string) *debug.BuildInfo {
		return &debug.BuildInfo{GoVersion: "go1.26", Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-28T07:00:00Z"}, {Key: "vcs.modified", Value: modified},
		}}
	}
	for _, test := range []struct {
		release string
		info    *debug.BuildInfo
		want    string
	}{
		{"", vcs("false"), "0123456789ab, 2026-11-28T07:00:00Z, go1.26"},
		{"", vcs("true"), "0123456789ab with changes, 2026-11-28T07:00:00Z, go1.26"},
		{"1.2", vcs("false"), "1.2, 0123456789ab, 2026-11-28T07:00:00Z, go1.26"},
		{"1.2", &debug.BuildInfo{GoVersion: "go1.26"}, "1.2, go1.26"},
		{"", &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "(devel)"}}, "built without version control, go1.26"},
		{"", &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: "v1.2.0"}}, "v1.2.0, go1.26"},
		{"", &debug.BuildInfo{}, "built without version control"},
	} {
		if got := describeBuild(test.release, test.info); got != test.want {
			t.Errorf("got %q, expected %q", got, test.want)
		}
	}
}
