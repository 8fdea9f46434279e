package machine

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// TestTestAgainstDash compares test and [ with dash, for all sequences of one to four words from a set of operators,
// operands and words that could be both, and for some longer ones.
func TestTestAgainstDash(t *testing.T) {
	dash, err := exec.LookPath("dash")
	if err != nil {
		t.Fatal("there is no dash to compare with: make setup installs it")
	}
	words := []string{"", "a", "-r", "!", "=", "-a", "-o", "(", ")", "-n", "1", "-eq", "/", "-d"}
	var rows [][]string
	var grow func(row []string, left int)
	grow = func(row []string, left int) {
		rows = append(rows, append([]string(nil), row...))
		if left == 0 {
			return
		}
		for _, word := range words {
			grow(append(row, word), left-1)
		}
	}
	grow(nil, 3)
	few := []string{"a", "-r", "!", "=", "-a", "-o", "(", ")", "-d", "/"}
	for _, a := range few {
		for _, b := range few {
			for _, c := range few {
				for _, d := range few {
					rows = append(rows, []string{a, b, c, d})
				}
			}
		}
	}
	rows = append(rows, [][]string{
		{"-d", "/", "-a", "a", "=", "a"}, {"(", "a", "=", "b", ")", "-o", "-n", "x"}, {"!", "a", "=", "b", "-a", "!", "-z", "x"}, {"-r", "=", "-r", "-o", "a"},
		{"(", "-r", "=", "-r", ")", "-a", "(", "!", "=", "!", ")"}, {"a", "-o", "b", "-a", ""}, {"!", "!", "!", "a"}, {"!", "!", "!", "!", "a"}, {"x", "-eq", "1"},
		{"1", "-lt", " 2 "}, {"b", ">", "a"}, {"b", "<", "a"}, {"/", "-ef", "/"}, {"(", "(", "a", ")", ")"}, {"(", "a", "-a", "b"},
	}...)
	var script strings.Builder
	for _, row := range rows {
		script.WriteString("[")
		for _, word := range row {
			script.WriteString(" '" + word + "'")
		}
		script.WriteString(" ]; echo $?\n")
	}
	var want, complaints bytes.Buffer
	cmd := exec.Command(dash, "-s")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(script.String()), &want, &complaints
	if err := cmd.Run(); err != nil {
		t.Fatalf("dash: %v: %s", err, complaints.String())
	}
	codes := strings.Fields(want.String())
	if len(codes) != len(rows) {
		t.Fatalf("dash answered %d of %d tests", len(codes), len(rows))
	}
	isDir := func(op, name string) bool { return name == "/" && (op == "-d" || op == "-r") }
	wrong := 0
	for i, row := range rows {
		holds, problem := evalTest(row, isDir, func(_, a, b string) bool { return a == b })
		got := map[bool]string{true: "0", false: "1"}[holds]
		if problem != "" {
			got = "2"
		}
		if got != codes[i] {
			if wrong++; wrong < 20 {
				t.Errorf("[ %q ]: %s (%s), dash says %s", row, got, problem, codes[i])
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d tests differ", wrong, len(rows))
	}
}

// TestOperandsThatLookLikeOperators runs the tests in hlplay's scripts through a machine's shell.
func TestOperandsThatLookLikeOperators(t *testing.T) {
	m := New(Config{Name: "n"})
	for script, want := range map[string]string{
		`set -- /x -r; if [ "$2" = -r ]; then echo recursive; fi`:          "recursive\n",
		`x='!'; [ "$x" = ! ] && echo same`:                                 "same\n",
		`x='('; [ "$x" = "(" ] && echo same`:                               "same\n",
		`x=-a; [ "$x" != -o ] && test "$x" && echo differs`:                "differs\n",
		`[ -n ] && [ -r ] && [ "!" ] && ! [ "" ] && ! [ ] && echo strings`: "strings\n",
		`[ -d /etc -a ! -L /etc ] && echo directory`:                       "directory\n",
		`[ 1 -eq x ]; echo $?`:                                             "2\n",
		`[ a b ]; echo $?`:                                                 "2\n",
		`timeout 5 test -d /etc && echo program`:                           "program\n",
	} {
		if got, stderr, _ := run(t, m, "root", script); got != want {
			t.Errorf("%s: %q (%s), want %q", script, got, stderr, want)
		}
	}
}
