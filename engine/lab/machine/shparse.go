package machine

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/syntax"
)

// parsed is a script as the interpreter runs it, or its syntax error.
type parsed struct {
	file *syntax.File
	// text is the script for the interpreter's eval.
	text string
	err  error
}

// shText is the source of a script.
type shText struct {
	text string
	dash bool
}

// scripts is the cache of scripts, shared by all machines: the nodes of a lab run the same ones over and over. Running
// a script does not modify it.
var scripts = &parsedScripts{limit: 4 << 20}

// parsedScripts is a cache of parsed scripts with a limit on the total size of their texts.
type parsedScripts struct {
	limit int

	mu    sync.Mutex
	known map[shText]parsed
	size  int
}

func (p *parsedScripts) parse(src shText) parsed {
	p.mu.Lock()
	script, ok := p.known[src]
	p.mu.Unlock()
	if ok {
		return script
	}
	script = parse(src)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.known == nil || p.size+len(src.text) > p.limit {
		p.known, p.size = map[shText]parsed{}, 0
	}
	if _, ok := p.known[src]; !ok && len(src.text) <= p.limit/16 {
		p.known[src] = script
		p.size += len(src.text)
	}
	return script
}

// parse parses a script. The interpreter supports export, local and the like only in bash's grammar, so a script for sh
// is parsed with both: first with the POSIX grammar, which must accept it.
func parse(src shText) parsed {
	if src.dash {
		if _, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(src.text), ""); err != nil {
			return parsed{err: err}
		}
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(src.text), "")
	if err != nil {
		return parsed{err: err}
	}
	if err := unsimulatedSyntax(file); err != nil {
		return parsed{err: err}
	}
	rewrite(file, src.dash)
	script := parsed{file: file, text: src.text}
	if rewritten(src) {
		var b bytes.Buffer
		if err := syntax.NewPrinter().Print(&b, file); err != nil {
			return parsed{err: err}
		}
		script.text = b.String()
	}
	return script
}

// manyParams matches ${10} and beyond.
var manyParams = regexp.MustCompile(`\$\{[0-9]{2}`)

// rewritten reports whether rewrite might change a script.
func rewritten(src shText) bool {
	return manyParams.MatchString(src.text) || strings.Contains(src.text, "$$") || strings.Contains(src.text, "${$}") ||
		strings.Contains(src.text, "exec ") || src.dash && strings.Contains(src.text, "[[")
}

// pidVariable replaces $$, for which the interpreter would return the process ID of the lab.
const pidVariable = "_lab_pid"

// rewrite adapts a script to the interpreter. It replaces $$ with a variable, and "exec 3<>FILE", which the interpreter
// does not support, with a command that opens the file once. In sh it replaces [[ with a command that does not exist.
func rewrite(node syntax.Node, dash bool) {
	syntax.Walk(node, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.ParamExp:
			if n.Param != nil && n.Param.Value == "$" {
				n.Param.Value = pidVariable
				n.Short = false
			}
			manyDigits(n)
		case *syntax.Stmt:
			openOnce(n)
			if _, ok := n.Cmd.(*syntax.TestClause); ok && dash {
				n.Cmd = &syntax.CallExpr{Args: []*syntax.Word{word("[[")}}
			}
		}
		return true
	})
}

// manyDigits rewrites ${10} as ${@:10:1}, because the interpreter supports only single-digit positional parameters.
func manyDigits(n *syntax.ParamExp) {
	if n.Param == nil || len(n.Param.Value) < 2 || n.Slice != nil {
		return
	}
	if _, err := strconv.ParseUint(n.Param.Value, 10, 32); err != nil {
		return
	}
	n.Slice = &syntax.Slice{Offset: literal(n.Param.Value), Length: literal("1")}
	n.Param.Value, n.Short = "@", false
}

func openOnce(stmt *syntax.Stmt) {
	if !opensOnly(stmt) {
		return
	}
	call, r := stmt.Cmd.(*syntax.CallExpr), stmt.Redirs[0]
	switch r.Op {
	case syntax.DplIn, syntax.DplOut:
		call.Args = []*syntax.Word{word("true")}
	default:
		call.Args = []*syntax.Word{word("__open"), word(r.Op.String()), r.Word}
	}
	stmt.Redirs = nil
}

// opensOnly reports whether a statement does nothing but open or close one descriptor above the standard ones.
func opensOnly(stmt *syntax.Stmt) bool {
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) != 1 || call.Args[0].Lit() != "exec" || len(stmt.Redirs) != 1 {
		return false
	}
	r := stmt.Redirs[0]
	switch r.Op {
	case syntax.RdrInOut, syntax.RdrIn, syntax.RdrOut, syntax.AppOut, syntax.DplIn, syntax.DplOut:
		return r.N != nil && r.N.Value >= "3" && r.Word != nil
	}
	return false
}

// unsimulatedError is a feature that a script uses but the interpreter would silently ignore.
type unsimulatedError string

func (e unsimulatedError) Error() string { return "not supported on simulated nodes: " + string(e) }

// unsimulatedSyntax returns an error if a script uses descriptors above the standard ones, or traps EXIT in a subshell:
// the interpreter would silently ignore both.
func unsimulatedSyntax(file *syntax.File) error {
	var err error
	found := func(what string) {
		if err == nil {
			err = unsimulatedError(what)
		}
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Stmt:
			for _, r := range n.Redirs {
				switch {
				case opensOnly(n):
				case r.N != nil && r.N.Value >= "3":
					found("file descriptor " + r.N.Value)
				case (r.Op == syntax.DplIn || r.Op == syntax.DplOut) && r.Word.Lit() >= "3" && r.Word.Lit() <= "9":
					found("file descriptor " + r.Word.Lit())
				}
			}
		case *syntax.Subshell:
			if trapsExit(n) {
				found("a trap of EXIT in a subshell")
			}
		case *syntax.CmdSubst:
			if trapsExit(n) {
				found("a trap of EXIT in a command substitution")
			}
		}
		return err == nil
	})
	return err
}

// trapsExit reports whether a part of a script traps EXIT, other than in a function.
func trapsExit(part syntax.Node) bool {
	traps := false
	syntax.Walk(part, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if ok && len(call.Args) > 2 && call.Args[0].Lit() == "trap" && call.Args[1].Lit() != "-" {
			for _, signal := range call.Args[2:] {
				traps = traps || signal.Lit() == "EXIT" || signal.Lit() == "0"
			}
		}
		_, function := n.(*syntax.FuncDecl)
		return !function
	})
	return traps
}

func literal(text string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.Lit{Value: text}}}
}

func word(text string) *syntax.Word {
	return &syntax.Word{Parts: []syntax.WordPart{&syntax.SglQuoted{Value: text}}}
}
