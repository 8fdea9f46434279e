package main

import (
	"runtime/debug"
	"strings"
)

// release identifies a build without version control: go build -ldflags "-X main.release=1.2".
var release string

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return describeBuild(release, info)
}

// describeBuild describes a build by its release or revision, the time of the commit, and the compiler.
func describeBuild(release string, info *debug.BuildInfo) string {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	revision := settings["vcs.revision"]
	revision = revision[:min(12, len(revision))]
	if settings["vcs.modified"] == "true" {
		revision += " with changes"
	}
	var parts []string
	switch {
	case release != "":
		parts = append(parts, release)
	case revision == "" && info.Main.Version != "" && info.Main.Version != "(devel)":
		parts = append(parts, info.Main.Version)
	case revision == "":
		parts = append(parts, "built without version control")
	}
	for _, part := range []string{revision, settings["vcs.time"], info.GoVersion} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}
