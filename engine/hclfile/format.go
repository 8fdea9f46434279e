package hclfile

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"
)

// Format returns a file in canonical form: the layout of terraform fmt, with LF line endings. If the file does not
// parse, Format returns the diagnostics instead.
func Format(src []byte, name string) ([]byte, *hcl.File, hcl.Diagnostics) {
	file, diags := Parse(src, name)
	if diags.HasErrors() {
		return nil, file, diags
	}
	return hclwrite.Format(bytes.ReplaceAll(src, []byte("\r\n"), []byte("\n"))), file, diags
}

// Find returns the sorted files that paths refer to. A file refers to itself, and a directory to all files below it
// whose names end in .hcl. Below a directory, names that begin with a dot are skipped, except .hlplay.hcl, and links to
// directories are not followed.
func Find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		err := filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case name == path && !entry.IsDir():
				files = append(files, name)
			case entry.IsDir():
				if name != path && strings.HasPrefix(entry.Name(), ".") {
					return fs.SkipDir
				}
			case filepath.Ext(name) == ".hcl" && (!strings.HasPrefix(entry.Name(), ".") || entry.Name() == ".hlplay.hcl"):
				files = append(files, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
