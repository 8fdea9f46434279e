//go:build pages

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

func init() { further = append(further, manCommand) }

// manCommand is for packages: make dist calls it. Only builds with the tag pages have it, because its library costs
// some 200 kB at each start of the program.
func manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("give one directory for the manual pages: hlplay man DIR")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			all := cmd.Root()
			literal(all)
			all.DisableAutoGenTag = true // it would be today's date, and builds of a release must be reproducible
			return doc.GenManTreeFromOpts(all, doc.GenManTreeOptions{
				Header: &doc.GenManHeader{Source: "hlplay", Manual: "hlplay"}, Path: args[0], CommandSeparator: "-",
			})
		},
	}
}

// literal escapes the texts of a command and its subcommands, which cobra takes for Markdown.
func literal(cmd *cobra.Command) {
	cmd.Short, cmd.Long = markdown(cmd.Short), markdown(cmd.Long)
	text := func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f) // without the quotes around the value's name
		f.Usage = markdown(usage)
	}
	cmd.Flags().VisitAll(text)
	cmd.PersistentFlags().VisitAll(text)
	for _, c := range cmd.Commands() {
		literal(c)
	}
}

var markdownEscapes = strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "`", "\\`", "<", `\<`, "[", `\[`, "#", `\#`)

// markdown returns Markdown for a text: indented lines are kept as they are, others are filled.
func markdown(text string) string {
	var b strings.Builder
	indented := false
	for line := range strings.Lines(text) {
		was := indented
		indented = strings.HasPrefix(line, "  ")
		if indented != was {
			b.WriteString("\n")
		}
		if indented {
			b.WriteString("    " + strings.TrimPrefix(line, "  "))
			continue
		}
		b.WriteString(markdownEscapes.Replace(line))
	}
	return b.String()
}
