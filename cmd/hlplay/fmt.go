package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"hlplay/engine/hclfile"
	"hlplay/engine/localfile"
	"hlplay/engine/report"
	"hlplay/engine/secret"
	"hlplay/modules"
)

// fmtFlags are the flags of `hlplay fmt`.
type fmtFlags struct {
	check, diff bool
}

func fmtCommand() *cobra.Command {
	f := &fmtFlags{}
	cmd := &cobra.Command{
		Use:   "fmt [PATH...]",
		Short: "Format playbooks and inventories",
		Long: `Fmt rewrites HCL files in the canonical format and prints the names of those that it changed. A directory stands for all
.hcl files below it; the default is the current directory. "-" reads standard input and writes the formatted text, or with --diff
the difference, to standard output.

Exit codes: 0 success; 1 a file could not be read or parsed; 4 with --check, a file is not formatted.`,
		Example: `  hlplay fmt
  hlplay fmt --check --diff playbooks inventory
  hlplay fmt - <site.hcl`,
		RunE: func(_ *cobra.Command, args []string) error { return f.run(args) },
	}
	cmd.Flags().BoolVar(&f.check, "check", false, "change nothing, and exit with code 4 if a file is not formatted")
	cmd.Flags().BoolVarP(&f.diff, "diff", "D", false, "show what changes")
	return cmd
}

func (f *fmtFlags) run(args []string) error {
	if slices.Equal(args, []string{"-"}) {
		return f.input()
	}
	if len(args) == 0 {
		args = []string{"."}
	}
	files, err := hclfile.Find(args)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("no files whose names end in .hcl")
	}
	changed, failed := false, false
	for _, name := range files {
		c, err := f.file(name)
		changed = changed || c
		if exit := (*exitError)(nil); err != nil && !errors.As(err, &exit) {
			fmt.Fprintln(os.Stderr, "hlplay:", err)
		}
		failed = failed || err != nil
	}
	switch {
	case failed:
		return &exitError{code: exitInput}
	case changed && f.check:
		return &exitError{code: exitChanged}
	}
	return nil
}

// input formats standard input.
func (f *fmtFlags) input() error {
	const name = "standard input"
	src, err := io.ReadAll(io.LimitReader(os.Stdin, hclfile.Largest+1))
	if err != nil {
		return err
	}
	if len(src) > hclfile.Largest {
		return fmt.Errorf("%s is larger than %d MiB, the limit for such a file", name, hclfile.Largest>>20)
	}
	out, file, diags := hclfile.Format(src, name)
	if err := diagnosed(map[string]*hcl.File{name: file}, diags); err != nil {
		return err
	}
	switch {
	case f.diff:
		fmt.Print(report.Unified(modules.Diff{Subject: name, Before: string(src), After: string(out)}))
	case !f.check:
		if _, err := os.Stdout.Write(out); err != nil {
			return err
		}
	}
	if f.check && !bytes.Equal(src, out) {
		return &exitError{code: exitChanged}
	}
	return nil
}

// file formats one file, and reports whether that changes it.
func (f *fmtFlags) file(name string) (bool, error) {
	src, err := hclfile.Read(name)
	if err != nil || secret.IsFile(src) {
		return false, err
	}
	out, file, diags := hclfile.Format(src, name)
	if err := diagnosed(map[string]*hcl.File{name: file}, diags); err != nil || bytes.Equal(src, out) {
		return false, err
	}
	fmt.Println(name)
	if f.diff {
		fmt.Print(report.Unified(modules.Diff{Subject: name, Before: string(src), After: string(out)}))
	}
	if f.check {
		return true, nil
	}
	return true, localfile.Replace(name, src, out)
}
