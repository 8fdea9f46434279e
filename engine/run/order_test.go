package run

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The package comment names the files in reading order. A file calls only functions of files that are named after it, or of
// those that are not named: these hold the types that all share, and call no file that is named.
func TestReadingOrder(t *testing.T) {
	fset := token.NewFileSet()
	paths, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	place := map[string]int{}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
		for _, name := range regexp.MustCompile(`\w+\.go`).FindAllString(file.Doc.Text(), -1) {
			place[name] = len(place) + 1
			if _, err := os.Stat(name); err != nil {
				t.Errorf("the package comment names %s: %v", name, err)
			}
		}
	}
	if len(place) < 10 {
		t.Fatalf("the package comment names %d files", len(place))
	}
	uses := usesOf(t, fset, files)
	if len(uses) < 100 {
		t.Fatalf("only %d uses between files were found", len(uses))
	}
	for id, function := range uses {
		from := fset.Position(id.Pos())
		to := fset.Position(function.Pos())
		if before, ok := place[to.Filename]; ok && from.Filename != to.Filename && place[from.Filename] == 0 {
			t.Errorf("%s uses %s of %s: name %s in the package comment, before it", from, id.Name, to.Filename, from.Filename)
		} else if ok && place[from.Filename] > before {
			t.Errorf("%s uses %s of %s, which stands before it in the package comment", from, id.Name, to.Filename)
		}
	}
}

// usesOf returns the uses of the package's functions and methods.
func usesOf(t *testing.T, fset *token.FileSet, files []*ast.File) map[*ast.Ident]types.Object {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", ".").Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, export, _ := strings.Cut(strings.TrimSpace(line), "\t")
		exports[name] = export
	}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) {
		return os.Open(exports[path])
	})}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	pkg, err := config.Check("hlplay/engine/run", fset, files, info)
	if err != nil {
		t.Fatal(err)
	}
	uses := map[*ast.Ident]types.Object{}
	for id, object := range info.Uses {
		if _, ok := object.(*types.Func); ok && object.Pkg() == pkg {
			uses[id] = object
		}
	}
	return uses
}
