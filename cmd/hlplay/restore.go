package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/spf13/cobra"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/inventory"
	"hlplay/engine/journal"
	"hlplay/engine/lang"
	"hlplay/engine/observe"
	"hlplay/engine/report"
	"hlplay/engine/run"
	"hlplay/modules"
	"hlplay/modules/registry"
)

// restoreFlags are the flags of `hlplay restore`.
type restoreFlags struct {
	runFlags
	host         string
	yes, changed bool
}

func restoreCommand() *cobra.Command {
	f := &restoreFlags{}
	cmd := &cobra.Command{
		Use:   "restore RUN FILE",
		Short: "Restore a file to what it was before a run changed it",
		Long: `Restore brings back one of the files that hold a host or a cluster together (corosync.conf, ceph.conf, /etc/pve/ha/*,
interfaces, the boot configuration, sshd_config, …), or the CRUSH map (crushmap), as it was before a recorded run changed it.
hlplay history RUN lists them. RUN is the start of an ID, or "last". The hosts are reached as in that run.

It shows the diff and asks. It refuses if the file has changed since the run; --changed restores it anyway. Restoring is a
recorded run of its own and can itself be undone.`,
		Example: `  hlplay restore last /etc/pve/corosync.conf --check
  hlplay restore 20261128-0903 /etc/network/interfaces --host pve2
  hlplay restore last /etc/pve/ceph.conf --yes
  hlplay restore last crushmap --check`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return errors.New("expected a run and a file, as in hlplay restore last /etc/pve/corosync.conf; hlplay history RUN lists the files")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd.Context(), args[0], args[1]) },
	}
	f.addInventory(cmd)
	_ = cmd.Flags().SetAnnotation("inventory", own, []string{}) // the run's inventory is used
	f.connectFlags.add(cmd)
	f.outputFlags.add(cmd)
	f.journalFlags.add(cmd)
	f.addMode(cmd)
	cmd.Flags().StringVar(&f.host, "host", "", "restore the file on `HOST`, if the run changed it on several hosts")
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do not ask")
	cmd.Flags().BoolVar(&f.changed, "changed", false, "restore the file even if it has changed since the run")
	cmd.ValidArgsFunction = f.complete
	return cmd
}

func (f *restoreFlags) run(ctx context.Context, word, file string) error {
	if err := f.validateJournal(); err != nil {
		return err
	}
	store, record, err := f.find(word)
	if err != nil {
		return err
	}
	kept, err := f.choose(record, file)
	if err != nil {
		return err
	}
	a := record.Run.Arguments
	if len(f.inventory) == 0 {
		f.inventory = a.Inventory
	}
	if f.sshConfig == "" {
		f.sshConfig = a.SSHConfig
	}
	f.acceptNew, f.askPassword, f.askSudo = f.acceptNew || a.AcceptNew, f.askPassword || a.AskPassword, f.askSudo || a.AskSudo
	inv, err := f.loadInventory()
	if err != nil {
		return err
	}
	host := inv.Host(kept.Host)
	if host == nil {
		return fmt.Errorf("the run changed %s on %s, which is not in the inventory %s: name the inventory with -i", file, kept.Host, inv.Path)
	}
	f.reached = f.connect(func(fn func()) { fn() })
	now, err := f.look(ctx, host, file)
	if err != nil {
		return err
	}
	if err := f.expected(record, kept, journal.LeftOf(kept.Host, file, now)); err != nil {
		return err
	}
	var content []byte
	if !kept.Absent {
		if content, err = store.Content(record.ID, kept.Copy); err == nil {
			content, err = reinstated(file, content, now.Content)
		}
		if err == nil && !utf8.Valid(content) {
			err = errors.New("it is not text")
		}
		if err != nil {
			return fmt.Errorf("%s cannot be restored: %w", file, err)
		}
	}
	if !f.check && !f.yes {
		fmt.Print(report.Unified(modules.Diff{Subject: kept.Host + ": " + file, Before: string(now.Content), After: string(content)}))
		if err := confirm(ctx, "Restore it? [y/N] "); err != nil {
			return err
		}
	}
	pb, diags := lang.LoadSource("restore.hcl", playbookOf(kept.Copy, content), lang.Options{Modules: registry.All(), Inventory: inv})
	if err := diagnosed(pb.Files, diags); err != nil {
		return err
	}
	pb.Path = "restore " + file
	f.restores, f.diff = record.ID, f.diff || f.check || f.yes
	f.allow = "all" // the user has named the file and agreed
	f.archive = func(a run.Archive, stop func(error)) run.Archive {
		return &sentinel{a, journal.LeftOf(kept.Host, file, now), stop}
	}
	return f.carryOut(ctx, pb, inv)
}

// choose returns the copy that the user means.
func (f *restoreFlags) choose(record *journal.Record, file string) (journal.Kept, error) {
	var found []journal.Kept
	var files, hosts []string
	for _, k := range record.Copies() {
		files = append(files, k.Path+" of "+k.Host)
		if k.Path != file {
			continue
		}
		hosts = append(hosts, k.Host)
		if f.host == "" || f.host == k.Host {
			found = append(found, k)
		}
	}
	switch {
	case len(files) == 0:
		return journal.Kept{}, fmt.Errorf("run %s changed no files that copies are kept of", record.ID)
	case len(hosts) == 0:
		return journal.Kept{}, fmt.Errorf("run %s has no copy of %s; it has %s", record.ID, file, strings.Join(files, ", "))
	case len(found) == 0:
		return journal.Kept{}, fmt.Errorf("run %s has a copy of %s from %s, not from %s", record.ID, file, strings.Join(hosts, ", "), f.host)
	case len(found) > 1 && !shared(file):
		return journal.Kept{}, fmt.Errorf("run %s has copies of %s from several hosts: choose one with --host %s", record.ID, file, strings.Join(hosts, " or --host "))
	}
	for _, k := range found[1:] { // the same file, as seen by several members of a cluster
		if k.Absent != found[0].Absent || k.SHA256 != found[0].SHA256 {
			return journal.Kept{}, fmt.Errorf("run %s found different versions of %s on the hosts: choose one with --host %s", record.ID, file, strings.Join(hosts, " or --host "))
		}
	}
	if object, _ := objectOf(file); object != nil && found[0].Absent {
		return journal.Kept{}, fmt.Errorf("there was no %s before run %s", file, record.ID)
	}
	if found[0].Link != "" {
		return journal.Kept{}, fmt.Errorf("%s was a symbolic link to %s: restore only restores files", file, found[0].Link)
	}
	return found[0], nil
}

// look reads the file as root.
func (f *restoreFlags) look(ctx context.Context, host *inventory.Host, file string) (now observe.File, err error) {
	if err := f.prepareAloud([]*inventory.Host{host}); err != nil {
		return now, err
	}
	conn, err := f.reached(ctx, host)
	if err != nil {
		return now, &exitError{code: exitUnreachable, err: err}
	}
	defer conn.Close()
	kind, names := observe.Files, []string{file}
	if object, _ := objectOf(file); object != nil {
		kind, names = object.Text, []string{""}
	}
	answers, err := conn.As("root").Ask(ctx, kind.Ask(names))
	if err != nil {
		return now, err
	}
	kind.Parse(names, answers, func(_ string, found observe.File, failed error) { now, err = found, failed })
	switch {
	case err != nil:
		return now, fmt.Errorf("%s: %w", host.Name, err)
	case now.Exists() && now.Type != observe.Regular:
		return now, fmt.Errorf("%s: %s is now a %s, not a file that could be restored", host.Name, file, now.Type)
	case now.Truncated:
		return now, fmt.Errorf("%s: %s is larger than %d bytes now", host.Name, file, observe.FileLimit)
	}
	return now, nil
}

// expected returns an error if the file is not as the run left it.
func (f *restoreFlags) expected(record *journal.Record, k journal.Kept, now journal.Left) error {
	asCopied := now.Absent == k.Absent && now.SHA256 == k.SHA256 && now.Link == k.Link
	if f.changed || asCopied || k.Left != nil && k.Left.Same(now) {
		return nil
	}
	what := "was changed since run " + record.ID
	if k.Left == nil {
		what = "may have been changed since: run " + record.ID + " did not finish, and what it left there is unknown"
	}
	return fmt.Errorf("%s: %s %s; --changed --check shows what would be restored, and --changed restores it", k.Host, k.Path, what)
}

// reinstated asks the module that is responsible for the file which content to restore.
func reinstated(file string, kept, now []byte) ([]byte, error) {
	for _, spec := range registry.All() {
		if spec.Reinstate != nil && slices.Contains(spec.Rewritten, file) {
			return spec.Reinstate(file, kept, now)
		}
	}
	return kept, nil
}

// objectOf returns the object with a name and the module that restores it, or nil if the name is a file's.
func objectOf(name string) (*modules.Object, string) {
	for _, spec := range registry.All() {
		for _, object := range spec.Objects {
			if object.Name == name {
				return &object, spec.Name
			}
		}
	}
	return nil, ""
}

// shared reports whether the hosts of a cluster share what is at a path, or under the name of an object.
func shared(name string) bool {
	object, _ := objectOf(name)
	return object != nil || observe.Files.Shared(name)
}

// playbookOf returns the playbook that restores a copy.
func playbookOf(c journal.Copy, content []byte) []byte {
	file := hclwrite.NewEmptyFile()
	play := file.Body().AppendNewBlock("play", []string{"restore"}).Body()
	play.SetAttributeValue("hosts", cty.StringVal(c.Host))
	play.SetAttributeValue("become", cty.True)
	task := play.AppendNewBlock("task", []string{"restore " + c.Path}).Body()
	if object, module := objectOf(c.Path); object != nil {
		name, arguments := object.Restore(string(content))
		block := task.AppendNewBlock(module, nil).Body().AppendNewBlock(name, nil).Body()
		for _, name := range slices.Sorted(maps.Keys(arguments)) {
			block.SetAttributeValue(name, cty.StringVal(arguments[name]))
		}
		return file.Bytes()
	}
	task = task.AppendNewBlock("file", nil).Body()
	task.SetAttributeValue("path", cty.StringVal(c.Path))
	if c.Absent {
		task.SetAttributeValue("state", cty.StringVal("absent"))
		return file.Bytes()
	}
	task.SetAttributeValue("content", cty.StringVal(string(content)))
	if !observe.Files.Shared(c.Path) { // pmxcfs sets its own modes
		task.SetAttributeValue("mode", cty.StringVal(c.Mode))
		task.SetAttributeValue("owner", cty.StringVal(c.Owner))
		task.SetAttributeValue("group", cty.StringVal(c.Group))
	}
	return file.Bytes()
}

// sentinel stops the run if the content to replace is not the one about which the user was asked.
type sentinel struct {
	run.Archive
	asked journal.Left
	stop  func(error)
}

// Before implements run.Archive.
func (s *sentinel) Before(host, path string, f observe.File) error {
	if path == s.asked.Path && !s.asked.Same(journal.LeftOf(host, path, f)) {
		s.stop(&stoppedError{fmt.Sprintf("%s: %s was changed meanwhile: nothing was restored", host, path)})
	}
	return s.Archive.Before(host, path, f)
}

// stoppedError is the reason why a run was stopped other than by the user.
type stoppedError struct{ text string }

func (e *stoppedError) Error() string { return e.text }

// confirm asks on the terminal.
func confirm(ctx context.Context, question string) error {
	tty, err := openTerminal()
	if err != nil {
		return errors.New("there is no terminal to ask on: use --yes, or --check to see what would be restored")
	}
	defer tty.Close()
	fmt.Fprint(tty, question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(tty).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case a := <-answer:
		if a == "y" || a == "yes" {
			return nil
		}
		return errors.New("nothing was restored")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// complete completes runs, and then the files of which the run has copies.
func (f *restoreFlags) complete(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return f.completeRuns(cmd, args, word)
	}
	var files []string
	if id, err := journal.At(f.journal).Find(args[0]); err == nil && len(args) == 1 {
		if record, err := journal.At(f.journal).Read(id); err == nil {
			for _, k := range record.Copies() {
				if !slices.Contains(files, k.Path) {
					files = append(files, k.Path)
				}
			}
		}
	}
	return files, cobra.ShellCompDirectiveNoFileComp
}
