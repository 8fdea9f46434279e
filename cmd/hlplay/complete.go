package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
	"hlplay/engine/secret"
	"hlplay/modules"
	"hlplay/modules/registry"
)

// completer completes a word, given the arguments before it.
type completer = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective)

const noFiles = cobra.ShellCompDirectiveNoFileComp

// complete adds completion to the flags and arguments of commands that have none. Completion asks for nothing, connects
// to nothing and prints nothing. If something cannot be read, it offers no completions for it.
func complete(cmd *cobra.Command) {
	for flag, of := range map[string]completer{
		"limit": ofHosts, "tags": ofTags, "skip-tags": ofTags, "start-at-task": ofTasks,
		"allow":  each(append([]string{"all"}, classes()...)),
		"output": each([]string{"auto", "terminal", "plain", "json"}),
	} {
		if _, taken := cmd.GetFlagCompletionFunc(flag); !taken && cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, of) // the flag exists and has no completion yet
		}
	}
	if cmd.ValidArgsFunction == nil {
		words := strings.Fields(cmd.Use)
		var kinds []completer
		for _, word := range words[1:] {
			switch strings.Trim(word, "[].") {
			case "PLAYBOOK":
				kinds = append(kinds, ofPlaybooks)
			case "TASK":
				kinds = append(kinds, ofTasks)
			case "PATTERN", "HOST":
				kinds = append(kinds, ofHosts)
			case "MODULE":
				kinds = append(kinds, ofModules)
			}
		}
		if cmd.Name() == "do" {
			kinds = []completer{ofHosts, ofAdHoc}
		}
		if kinds != nil {
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
				if len(args) >= len(kinds) {
					return nil, noFiles
				}
				return kinds[len(args)](cmd, args, word)
			}
		}
	}
	for _, c := range cmd.Commands() {
		complete(c)
	}
}

func classes() []string {
	var names []string
	for _, r := range modules.Risks() {
		names = append(names, r.String())
	}
	return names
}

// each completes the last of several comma-separated words.
func each(words []string) completer {
	return func(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
		return behind(word, ",", words), noFiles | cobra.ShellCompDirectiveNoSpace
	}
}

// behind prefixes words with what was typed up to and including the last separator.
func behind(typed, separators string, words []string) []string {
	front := typed[:strings.LastIndexAny(typed, separators)+1]
	var all []string
	for _, word := range words {
		if word = front + word; strings.HasPrefix(word, typed) {
			all = append(all, word)
		}
	}
	return all
}

func ofPlaybooks(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"hcl"}, cobra.ShellCompDirectiveFilterFileExt
}

func ofModules(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	var names []string
	for _, spec := range registry.All() {
		if strings.HasPrefix(spec.Name, word) {
			names = append(names, spec.Name+"\t"+spec.Summary)
		}
	}
	return names, cobra.ShellCompDirectiveDefault // the playbook's file is an argument too
}

// ofAdHoc completes the body of a task: the module, then the module's arguments and blocks.
func ofAdHoc(_ *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	const directive = noFiles | cobra.ShellCompDirectiveNoSpace
	name, body, inside := strings.Cut(word, "{")
	if !inside {
		var all []string
		for _, spec := range registry.All() {
			if strings.HasPrefix(spec.Name, word) {
				all = append(all, spec.Name+" { \t"+spec.Summary)
			}
		}
		return all, directive
	}
	spec, ok := registry.Find(strings.TrimSpace(name))
	if !ok || strings.HasSuffix(strings.TrimRight(body, " "), "=") {
		return nil, directive
	}
	at := strings.LastIndexAny(word, " {") + 1
	schema := lang.Schema(spec)
	var all []string
	for _, a := range schema.Body.Arguments {
		if strings.HasPrefix(a.Name, word[at:]) {
			all = append(all, word[:at]+a.Name+" = \t"+a.Type)
		}
	}
	for _, block := range schema.Body.Blocks {
		if strings.HasPrefix(block.Name, word[at:]) {
			all = append(all, word[:at]+block.Name+" { \tblock")
		}
	}
	return all, directive
}

func ofHosts(cmd *cobra.Command, _ []string, word string) ([]string, cobra.ShellCompDirective) {
	inv := inventoryOf(cmd)
	if inv == nil {
		return nil, noFiles
	}
	var names []string
	for _, h := range inv.Hosts {
		names = append(names, h.Name)
	}
	for _, g := range inv.Groups {
		names = append(names, g.Name)
	}
	slices.Sort(names)
	return behind(word, ",:!&", slices.Compact(names)), noFiles | cobra.ShellCompDirectiveNoSpace
}

func ofTags(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	pb := playbookOfArguments(cmd, args)
	if pb == nil {
		return nil, noFiles
	}
	return behind(word, ",", pb.Tags()), noFiles | cobra.ShellCompDirectiveNoSpace
}

func ofTasks(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	pb := playbookOfArguments(cmd, args)
	if pb == nil {
		return nil, noFiles
	}
	return behind(word, "", taskNames(pb)), noFiles
}

// inventoryOf reads the inventory of the command line that is being completed, or returns nil. Pressing a key must not
// start programs.
func inventoryOf(cmd *cobra.Command) *inventory.Inventory {
	_ = projectDefaults(cmd, nil) // the command itself reports errors
	paths, err := cmd.Flags().GetStringArray("inventory")
	if err != nil || len(paths) == 0 || slices.Contains(paths, "") {
		return nil
	}
	slices.Sort(paths) // cobra may have parsed the flags twice
	paths = slices.Compact(paths)
	inv, _ := inventory.LoadStatic(secret.NewKeyring(secret.Options{Context: cmd.Context(), Lenient: true}), paths...)
	return inv
}

// playbookOfArguments reads the playbook of the command line that is being completed, as far as it can be read.
func playbookOfArguments(cmd *cobra.Command, args []string) *lang.Playbook {
	if len(args) == 0 {
		return nil
	}
	f := &inputFlags{secrets: secret.NewKeyring(secret.Options{Context: cmd.Context(), Lenient: true})}
	o, err := f.languageOptions(inventoryOf(cmd))
	if err != nil {
		return nil
	}
	pb, _ := lang.Load(args[0], o)
	return pb
}
