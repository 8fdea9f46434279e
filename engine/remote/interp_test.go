package remote

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// runSh runs a line as sshd does, with sh as the login shell.
func runSh(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	cmd := exec.Command("/bin/sh", "-c", line)
	cmd.Env, cmd.Stdout, cmd.Stderr = env, stdout, stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return 255
	}
	if err := cmd.Start(); err != nil {
		return 255
	}
	go func() {
		_, _ = io.Copy(in, stdin)
		in.Close()
	}()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code
	}
	return 255
}

// runInterp runs a line with the shell interpreter of simulated hosts, which runs sh itself and otherwise real
// programs.
func runInterp(line string, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	r, w, err := os.Pipe() // a file, so that programs do not read further than they need
	if err != nil {
		return 255
	}
	defer r.Close()
	go func() {
		_, _ = io.Copy(w, stdin)
		w.Close()
	}()
	return interpret(context.Background(), line, nil, expand.ListEnviron(env...), "/", r, stdout, stderr)
}

// interpret runs a script or, if there is none, the standard input.
func interpret(ctx context.Context, script string, params []string, env expand.Environ, dir string, stdin io.Reader, stdout, stderr io.Writer) int {
	sh := func(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
		return func(ctx context.Context, args []string) error {
			for args[0] == "timeout" && len(args) > 4 { // timeout [-v] -k 2 N program
				if args[1] == "-v" {
					args = args[1:]
				}
				args = args[4:]
			}
			if args[0] != "sh" || len(args) == 2 || len(args) > 2 && args[1] != "-c" {
				return next(ctx, args)
			}
			h := interp.HandlerCtx(ctx)
			args = append(args, "", "")
			if exit := interpret(ctx, args[2], args[min(4, len(args)-2):len(args)-2], h.Env, h.Dir, h.Stdin, h.Stdout, h.Stderr); exit != 0 {
				return interp.ExitStatus(exit)
			}
			return nil
		}
	}
	call := func(_ context.Context, args []string) ([]string, error) {
		if args[0] == "cd" && len(args) == 4 { // cd -P -- DIR, whose options the interpreter lacks
			return []string{"cd", args[3]}, nil
		}
		if slices.Equal(args, []string{"command", "-v", "perl"}) { // a simulated host has none
			return []string{"false"}, nil
		}
		return args, nil
	}
	runner, err := interp.New(interp.Env(env), interp.Dir(dir), interp.StdIO(stdin, stdout, stderr),
		interp.CallHandler(call), interp.ExecHandlers(sh), interp.Params(append([]string{"--"}, params...)...))
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 255
	}
	parser := syntax.NewParser(syntax.Variant(syntax.LangBash))
	input := stdin
	if script != "" {
		input = strings.NewReader(script + "\n")
	}
	for commands, bad := range parser.InteractiveSeq(input) {
		if bad != nil {
			fmt.Fprintln(stderr, bad)
			return 2
		}
		if parser.Incomplete() {
			continue
		}
		for _, command := range commands {
			if err = runner.Run(ctx, command); runner.Exited() {
				break
			}
		}
		if runner.Exited() {
			break
		}
	}
	if err == nil {
		return 0
	}
	if status, ok := err.(interp.ExitStatus); ok {
		return int(status)
	}
	fmt.Fprintln(stderr, err)
	return 255
}
