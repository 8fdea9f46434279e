// Command sbom prints what a Go program was built from, as a CycloneDX bill of materials (JSON): the modules, their versions and
// checksums that the linker recorded in the program, and the standard library. The same program gives the same output.
//
//	sbom VERSION BINARY
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
)

// The parts of CycloneDX 1.6 that a Go program can fill: https://cyclonedx.org/docs/1.6/json/.
type (
	bom struct {
		Format       string       `json:"bomFormat"`
		SpecVersion  string       `json:"specVersion"`
		Version      int          `json:"version"`
		Metadata     metadata     `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	metadata struct {
		Component component `json:"component"`
	}
	component struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		URL        string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref       string   `json:"ref"`
		DependsOn []string `json:"dependsOn"`
	}
)

func main() {
	if len(os.Args) != 3 {
		fail("usage: sbom VERSION BINARY")
	}
	info, err := buildinfo.ReadFile(os.Args[2])
	if err != nil {
		fail(err)
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(describe(os.Args[1], info)); err != nil {
		fail(err)
	}
}

func fail(why any) {
	fmt.Fprintln(os.Stderr, "sbom:", why)
	os.Exit(1)
}

func describe(version string, info *debug.BuildInfo) bom {
	program := library(info.Main.Path, version)
	program.Type = "application"
	for _, s := range info.Settings {
		program.Properties = append(program.Properties, property{"go:build:" + s.Key, s.Value})
	}
	// The standard library has the compiler's version.
	parts := []component{library("std", strings.TrimPrefix(info.GoVersion, "go"))}
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		part := library(m.Path, m.Version)
		if m.Sum != "" {
			part.Properties = []property{{"go:sum", m.Sum}}
		}
		parts = append(parts, part)
	}
	needs := dependency{Ref: program.Ref}
	for _, part := range parts {
		needs.DependsOn = append(needs.DependsOn, part.Ref)
	}
	return bom{
		Format: "CycloneDX", SpecVersion: "1.6", Version: 1,
		Metadata: metadata{program}, Components: parts, Dependencies: []dependency{needs},
	}
}

func library(path, version string) component {
	url := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return component{Type: "library", Ref: url, Name: path, Version: version, URL: url}
}
