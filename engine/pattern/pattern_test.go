package pattern

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A pattern that does not parse would panic only on its first use.
func TestPatternsParse(t *testing.T) {
	found := 0
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		constants := map[string]string{}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Names) == 1 && len(spec.Values) == 1 {
				if text, ok := literal(spec.Values[0], constants); ok {
					constants[spec.Names[0].Name] = text
				}
			}
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if of, ok := call.Fun.(*ast.SelectorExpr); !ok || of.Sel.Name != "New" || !isPattern(of.X) {
				return true
			}
			found++
			text, ok := literal(call.Args[0], constants)
			if !ok {
				t.Errorf("%s: a pattern is not a constant text, so that no test sees it", files.Position(call.Pos()))
			} else if _, err := regexp.Compile(text); err != nil {
				t.Errorf("%s: %v", files.Position(call.Pos()), err)
			}
			return true
		})
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d patterns were found: %v", found, err)
	}
}

func isPattern(e ast.Expr) bool {
	name, ok := e.(*ast.Ident)
	return ok && name.Name == "pattern"
}

// literal returns the text of an expression that consists of literals and constants of the same file.
func literal(e ast.Expr, constants map[string]string) (string, bool) {
	switch e := e.(type) {
	case *ast.Ident:
		text, ok := constants[e.Name]
		return text, ok
	case *ast.BasicLit:
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		left, ok1 := literal(e.X, constants)
		right, ok2 := literal(e.Y, constants)
		return left + right, ok1 && ok2
	}
	return "", false
}

func TestRegexp(t *testing.T) {
	r := New(`([a-z]+)(\d)`)
	text := "ab1, cd2"
	if !r.MatchString(text) || r.FindString(text) != "ab1" || r.FindStringSubmatch(text)[1] != "ab" || len(r.FindAllString(text, -1)) != 2 ||
		len(r.FindAllStringSubmatch(text, 1)) != 1 || r.FindStringIndex(text)[1] != 3 || r.ReplaceAllString(text, "$2") != "1, 2" || r.String() != `([a-z]+)(\d)` {
		t.Error("it does not do what regexp.Regexp does")
	}
}
