package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// product matches what only a module may know: products, their paths, and the suffixes of their versions and units.
// Names of hosts such as pve1 are just examples.
var product = regexp.MustCompile(`(?i)proxmox|pmxcfs|ceph|corosync|/etc/pve|/etc/apt|\bapt(-get|-cache)?\b|-pve\b|\bpve-`)

// Knowledge about a product is part of the Spec of its module. The engine names no product, in code, messages or
// comments, except for the lab, which simulates them. What remains is in the shell scripts of engine/remote: they do
// not set modes and owners below /etc/pve.
func TestTheEngineNamesNoProduct(t *testing.T) {
	root := filepath.Join("..", "..", "engine")
	read := 0
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (file == filepath.Join(root, "lab") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		read++
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			if name := product.FindString(line); name != "" {
				t.Errorf("%s:%d names %q: let a module's Spec contribute what is known of it\n%s", file, number, name, strings.TrimSpace(line))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 50 {
		t.Errorf("%d files were read: the test looks in the wrong place", read)
	}
}
