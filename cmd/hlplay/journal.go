package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"mvdan.cc/sh/v3/syntax"

	"hlplay/engine/inventory"
	"hlplay/engine/journal"
	"hlplay/engine/lang"
	"hlplay/engine/nodestate"
	"hlplay/engine/report"
)

// journalFlags say where runs are recorded.
type journalFlags struct {
	journal string
	keep    int
}

// noJournal in place of a directory turns recording off.
const noJournal = "none"

func (f *journalFlags) add(cmd *cobra.Command) {
	f.addDir(cmd, "record the run below `DIR`, or nowhere: none")
	cmd.Flags().IntVar(&f.keep, "keep-runs", journal.KeptRuns, "keep the records of the last `N` runs that changed something or failed, and of the last N others")
}

func (f *journalFlags) addDir(cmd *cobra.Command, usage string) {
	cmd.Flags().StringVar(&f.journal, "journal", journal.Dir, usage)
}

// validateJournal rejects an empty directory, which an empty variable in a script would cause.
func (f *journalFlags) validateJournal() error {
	switch {
	case f.journal == "":
		return errors.New("--journal is empty: name a directory, or leave it out to use " + journal.Dir)
	case f.keep < 1:
		return errors.New("--keep-runs: expected a number of at least 1; --journal none records no run")
	}
	return nil
}

// store returns the journal for commands that need one.
func (f *journalFlags) store() (journal.Store, error) {
	if f.journal == "" || f.journal == noJournal {
		return journal.Store{}, fmt.Errorf("--journal %s: name the directory that the runs are recorded in", f.journal)
	}
	return journal.At(f.journal), nil
}

// find returns a recorded run by its ID, the beginning of its ID, or "last", and the journal that has it.
func (f *journalFlags) find(word string) (journal.Store, *journal.Record, error) {
	store, err := f.store()
	if err != nil {
		return store, nil, err
	}
	id, err := store.Find(word)
	if err != nil {
		return store, nil, err
	}
	record, err := store.Read(id)
	return store, record, err
}

// recording starts the journal just before the run starts: by then it is certain that there will be a run, and known
// what is secret in it. If the journal cannot be started, the run reports that and continues.
func (f *runFlags) recording(w *journal.Writer, pb *lang.Playbook, inv *inventory.Inventory, r *report.Redactor) func([]*inventory.Host) ([]string, error) {
	return func(hosts []*inventory.Host) ([]string, error) {
		notes, err := f.prepare(hosts)
		if err != nil || f.journal == noJournal {
			return notes, err
		}
		record, err := f.record(pb, inv, r)
		if err != nil {
			return notes, err
		}
		err = w.Begin(journal.At(f.journal), record, f.keep)
		if err != nil {
			notes = append(notes, fmt.Sprintf("this run is not recorded and cannot be resumed with hlplay resume: %v", err))
		}
		return notes, nil
	}
}

// record returns what is recorded of the run before it starts.
func (f *runFlags) record(pb *lang.Playbook, inv *inventory.Inventory, r *report.Redactor) (journal.Run, error) {
	a := f.arguments(pb, r)
	plan, err := journal.Planned(pb, inv, a, f.limit())
	return journal.Run{
		Version: version(), By: nodestate.By(), Playbook: pb.Path, Arguments: a,
		Sources: journal.Sources(pb, inv), Plan: plan, Resumes: f.resumes, Restores: f.restores, AdHoc: f.source != nil,
	}, err
}

// arguments returns the flags of the run without secrets, as they are recorded.
func (f *runFlags) arguments(pb *lang.Playbook, r *report.Redactor) journal.Arguments {
	a := journal.Arguments{
		Inventory: f.inventory, Limits: f.limits, Tags: f.tags, SkipTags: f.skipTags, StartAt: f.startAt,
		SSHConfig: f.sshConfig, KnownHosts: f.knownHosts, AcceptNew: f.acceptNew, AskPassword: f.askPassword, AskSudo: f.askSudo,
		PasswordFile: f.passwordFile, SudoPasswordFile: f.sudoPasswordFile, Become: f.inputFlags.become, BecomeUser: f.inputFlags.becomeUser,
		IgnoreUndeclared: f.ignoreUndeclared,
	}
	secret := func(name, text string) bool { return pb.MayBeSensitive(name) || r.String(text) != text }
	for _, v := range pb.Variables {
		if v.FromEnvironment { // it may differ when the run is resumed
			text := os.Getenv(lang.EnvironmentPrefix + v.Name)
			a.Values = append(a.Values, value(v.Name, text, secret(v.Name, text)))
		}
	}
	for _, e := range f.extra {
		if file, ok := strings.CutPrefix(e, "@"); ok {
			a.Values = append(a.Values, journal.Value{File: file, Secret: !regular(file)})
			continue
		}
		if inline(e) {
			values, _ := lang.InlineValues(e) // it was read before
			for _, name := range slices.Sorted(maps.Keys(values)) {
				text, err := ctyjson.Marshal(values[name], values[name].Type())
				v := value(name, string(text), err != nil || secret(name, string(text)))
				v.JSON = !v.Secret
				a.Values = append(a.Values, v)
			}
			continue
		}
		name, text, _ := strings.Cut(e, "=")
		name = strings.TrimSpace(name)
		a.Values = append(a.Values, value(name, text, secret(name, text)))
	}
	return a
}

// value returns a variable as it is recorded.
func value(name, text string, secret bool) journal.Value {
	if secret {
		text = ""
	}
	return journal.Value{Name: name, Text: text, Secret: secret}
}

// regular reports whether a path is a file that can be read a second time.
func regular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// wayOn says how to resume an interrupted run.
func (f *runFlags) wayOn(id string) {
	if id == "" || f.source != nil {
		return
	}
	record, err := journal.At(f.journal).Read(id)
	if err != nil {
		return // the report has said how the run ended
	}
	if at, ok := record.Unfinished(); ok {
		fmt.Fprintf(os.Stderr, "hlplay: to continue at task %s: hlplay resume %s%s%s\n", at, id, f.permits(), f.elsewhere())
	}
}

// permits returns the flag with the risk classes that the run may carry out, if it was given.
func (f *runFlags) permits() string {
	if f.allow == "" {
		return ""
	}
	return " --allow=" + strings.ReplaceAll(f.allow, " ", "")
}

// elsewhere returns the flag with the directory of the journal, if it is not the default.
func (f *journalFlags) elsewhere() string {
	if f.journal == journal.Dir {
		return ""
	}
	word, err := syntax.Quote(f.journal, syntax.LangPOSIX)
	if err != nil {
		word = f.journal
	}
	return " --journal " + word
}

// oneRun is for commands whose argument is a recorded run, by default the last one.
func oneRun(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("expected one run, but got %d arguments: %s", len(args), strings.Join(args, " "))
	}
	return nil
}

// completeRuns completes the IDs of recorded runs, the latest first.
func (f *journalFlags) completeRuns(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	all, _ := journal.At(f.journal).IDs()
	return append(slices.Clip(all), "last"), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}
