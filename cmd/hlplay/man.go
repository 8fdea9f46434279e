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

// manCommand is for packages: make dist calls it. Only a build with the tag pages has it, because the library costs each
// start of the program some 200 kB.
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
			all.DisableAutoGenTag = true // it is today's date, and a release is to be built twice alike
			return doc.GenManTreeFromOpts(all, doc.GenManTreeOptions{
				Header: &doc.GenManHeader{Source: "hlplay", Manual: "hlplay"}, Path: args[0], CommandSeparator: "-",
			})
		},
	}
}

// literal makes the texts of a command and those below it show as they are: cobra takes them for Markdown.
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

// markdown returns Markdown that shows as the text: indented lines are set as they are, others are filled.
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
