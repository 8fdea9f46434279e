package machine

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// testBuiltin implements test and [ by the rules of POSIX and, beyond four operands, of dash. The interpreter's own
// builtin treats an operand that looks like an operator as one in any position: [ "-r" = -r ].
func testBuiltin(s *shell, c *Call) int {
	args := c.Argv[2:]
	if c.Argv[1] == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return s.testError("[", "missing ]")
		}
		args = args[:len(args)-1]
	}
	holds, problem := evalTest(args, func(op, operand string) bool { return s.testFile(c, op, operand) },
		func(op, a, b string) bool { return s.compareFiles(c, op, a, b) })
	switch {
	case problem != "":
		return s.testError(c.Argv[1], problem)
	case holds:
		return 0
	}
	return 1
}

func (s *shell) testError(name, problem string) int {
	where := s.name + ": 1"
	if !s.dash() {
		where = "bash: line 1"
	}
	fmt.Fprintf(s.c.Stderr, "%s: %s: %s\n", where, name, problem)
	return 2
}

var (
	fileTests   = []string{"-b", "-c", "-d", "-e", "-f", "-g", "-h", "-k", "-L", "-p", "-r", "-s", "-S", "-t", "-u", "-w", "-x", "-O", "-G"}
	unaryTests  = append([]string{"-n", "-z"}, fileTests...)
	binaryTests = []string{"=", "!=", "<", ">", "-eq", "-ne", "-gt", "-ge", "-lt", "-le", "-nt", "-ot", "-ef"}
)

// tester evaluates a test. The operands before at have been consumed. A problem ends the evaluation.
type tester struct {
	args    []string
	at      int
	file    func(op, operand string) bool
	compare func(op, a, b string) bool
	problem string
}

// evalTest evaluates a test, or returns what is wrong with it. The functions examine files.
func evalTest(args []string, file func(op, operand string) bool, compare func(op, a, b string) bool) (holds bool, problem string) {
	negated := false
	for {
		n := len(args)
		if n == 0 {
			return negated, ""
		}
		if n == 3 && slices.Contains(binaryTests, args[1]) {
			t := &tester{args: args, file: file, compare: compare}
			holds = t.binary()
			return holds != negated, t.problem
		}
		if n == 3 || n == 4 {
			if args[0] == "(" && args[n-1] == ")" {
				args = args[1 : n-1]
				break
			}
			if args[0] == "!" {
				negated, args = true, args[1:]
				continue
			}
		}
		break
	}
	t := &tester{args: args, file: file, compare: compare}
	holds = t.or()
	if t.problem == "" && t.at < len(t.args) {
		t.fail(t.args[t.at-1] + ": unexpected operator")
	}
	return holds != negated, t.problem
}

func (t *tester) fail(problem string) {
	if t.problem == "" {
		t.problem = problem
	}
}

func (t *tester) operand(i int) string {
	if i < len(t.args) {
		return t.args[i]
	}
	return ""
}

// operator returns the operator at i, or "" for an operand. A unary operator that cannot have an operand is an operand
// itself, as is a parenthesis at the end.
func (t *tester) operator(i int) string {
	word := t.operand(i)
	switch {
	case i >= len(t.args):
		return ""
	case slices.Contains(unaryTests, word):
		last := i+1 == len(t.args)
		if last || i+2 < len(t.args) && slices.Contains(binaryTests, t.args[i+1]) {
			return ""
		}
		return word
	case word == "(" && i+1 == len(t.args):
		return ""
	case slices.Contains(binaryTests, word), slices.Contains([]string{"!", "-a", "-o", "(", ")"}, word):
		return word
	}
	return ""
}

func (t *tester) or() bool {
	holds := false
	for {
		holds = t.and() || holds
		if t.problem != "" || t.operator(t.at) != "-o" {
			return holds
		}
		t.at++
	}
}

func (t *tester) and() bool {
	holds := true
	for {
		holds = t.not() && holds
		if t.problem != "" || t.operator(t.at) != "-a" {
			return holds
		}
		t.at++
	}
}

func (t *tester) not() bool {
	if t.operator(t.at) == "!" {
		t.at++
		return !t.not()
	}
	return t.primary()
}

func (t *tester) primary() bool {
	if t.at >= len(t.args) {
		return false
	}
	switch op := t.operator(t.at); {
	case op == "(":
		t.at++
		if t.operator(t.at) == ")" {
			t.at++
			return false
		}
		holds := t.or()
		if t.problem == "" && t.operator(t.at) != ")" {
			t.fail("closing paren expected")
		}
		t.at++
		return holds
	case slices.Contains(unaryTests, op):
		if t.at+1 >= len(t.args) {
			t.fail(op + ": argument expected")
			return false
		}
		operand := t.args[t.at+1]
		t.at += 2
		switch op {
		case "-n":
			return operand != ""
		case "-z":
			return operand == ""
		case "-t":
			t.number(operand) // nothing in a lab is a terminal
			return false
		}
		return t.file(op, operand)
	}
	if slices.Contains(binaryTests, t.operator(t.at+1)) {
		return t.binary()
	}
	t.at++
	return t.args[t.at-1] != ""
}

func (t *tester) binary() bool {
	a, op := t.args[t.at], t.args[t.at+1]
	if t.at+2 >= len(t.args) {
		t.fail(op + ": argument expected")
		return false
	}
	b := t.args[t.at+2]
	t.at += 3
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case ">":
		return a > b
	case "-nt", "-ot", "-ef":
		return t.compare(op, a, b)
	}
	x, y := t.number(a), t.number(b)
	switch op {
	case "-eq":
		return x == y
	case "-ne":
		return x != y
	case "-gt":
		return x > y
	case "-ge":
		return x >= y
	case "-lt":
		return x < y
	}
	return x <= y
}

func (t *tester) number(text string) int64 {
	n, err := strconv.ParseInt(strings.Trim(text, " \t\n"), 10, 64)
	if err != nil {
		t.fail("Illegal number: " + text)
	}
	return n
}

// testFile evaluates a test of a file.
func (s *shell) testFile(c *Call, op, name string) bool {
	if name == "" {
		return false
	}
	path := c.Path(name)
	info, err := s.view().stat("stat", path, op != "-L" && op != "-h")
	if err != nil {
		return false
	}
	mode := info.Mode()
	switch op {
	case "-b":
		return mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0
	case "-c":
		return mode&fs.ModeCharDevice != 0
	case "-d":
		return info.IsDir()
	case "-f":
		return mode.IsRegular()
	case "-g":
		return mode&fs.ModeSetgid != 0
	case "-k":
		return mode&fs.ModeSticky != 0
	case "-u":
		return mode&fs.ModeSetuid != 0
	case "-h", "-L":
		return mode&fs.ModeSymlink != 0
	case "-p":
		return mode&fs.ModeNamedPipe != 0
	case "-S":
		return mode&fs.ModeSocket != 0
	case "-s":
		return info.Size() > 0
	case "-r", "-w", "-x":
		access := map[string]interp.AccessMode{"-r": interp.AccessRead, "-w": interp.AccessWrite, "-x": interp.AccessExec}[op]
		return s.access(context.Background(), path, access) == nil
	}
	return true
}

func (s *shell) compareFiles(c *Call, op, a, b string) bool {
	x, errX := s.view().stat("stat", c.Path(a), true)
	y, errY := s.view().stat("stat", c.Path(b), true)
	if errX != nil || errY != nil {
		return false
	}
	switch op {
	case "-nt":
		return x.ModTime().After(y.ModTime())
	case "-ot":
		return x.ModTime().Before(y.ModTime())
	}
	pathX, _, errX := s.view().resolve(c.Path(a), true)
	pathY, _, errY := s.view().resolve(c.Path(b), true)
	sameName := errX == nil && errY == nil && pathX == pathY
	return sameName || details(x).ino == details(y).ino && details(x).ino > 1
}
