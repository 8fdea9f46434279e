package lsp

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/sourcegraph/jsonrpc2"

	"hlplay/engine/hclfile"
	"hlplay/engine/project"
)

// check publishes diagnostics whenever something has changed. Changes during a check are covered by one further check.
func (s *server) check(client *jsonrpc2.Conn) {
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-s.dirty:
		}
		var err error
		func() {
			defer s.recovered("diagnostics", &err)
			s.publish(client, s.snapshot())
		}()
		if err != nil {
			s.tell(client, severityError, err.Error())
		}
	}
}

// findings collects the diagnostics of files.
type findings struct {
	of      map[string][]diagnostic
	nowhere []*hcl.Diagnostic // those without a position in a file
}

func (f *findings) add(files map[string]*hcl.File, diags hcl.Diagnostics) {
	for _, d := range diags {
		if d.Subject == nil {
			f.nowhere = append(f.nowhere, d)
			continue
		}
		text := ""
		if file := files[d.Subject.Filename]; file != nil {
			text = string(file.Bytes)
		}
		found := diagnostic{Range: spanOf(text, *d.Subject), Severity: severityError, Source: "hlplay", Message: d.Summary}
		if d.Severity == hcl.DiagWarning {
			found.Severity = severityWarning
		}
		if d.Detail != "" {
			found.Message += "\n" + d.Detail
		}
		if !slices.Contains(f.of[d.Subject.Filename], found) { // a file may belong to several playbooks
			f.of[d.Subject.Filename] = append(f.of[d.Subject.Filename], found)
		}
	}
}

// diagnose checks everything that is open, as `hlplay validate` does.
func (s snapshot) diagnose() (*findings, error) {
	f := &findings{of: map[string][]diagnostic{}}
	_, file, diags := project.Load(".")
	f.add(map[string]*hcl.File{project.File: file}, diags)
	o, err := s.options.Language(s.ctx, nil, s.settings.ExtraVars)
	if err != nil {
		return f, err
	}
	paths := s.inventories()
	if inv, diags := s.readInventory(o, paths); inv != nil {
		f.add(inv.Files, diags)
	}
	by, files := s.importers()
	checked := make(map[string]bool)
	for _, name := range sortedNames(s.documents) {
		switch {
		case name == project.File, ofInventory(name, paths):
			continue
		case files[name].kind == hosts: // belongs to another inventory
			inv, diags := s.readInventory(o, []string{name})
			f.add(inv.Files, diags)
			continue
		case files[name].kind == role && len(by[name]) == 0: // no playbook gives values to its variables
			file, diags := hclfile.Parse(s.unsaved[name], name)
			f.add(map[string]*hcl.File{name: file}, diags)
			continue
		}
		for _, root := range roots(name, by) {
			if checked[root] {
				continue
			}
			checked[root] = true
			pb, inv, _, diags, err := s.load(root)
			if err != nil {
				return f, err
			}
			all := maps.Clone(pb.Files)
			if inv != nil {
				maps.Copy(all, inv.Files)
			}
			f.add(all, diags)
		}
	}
	return f, nil
}

// publish sends the diagnostics of all files that have some, had some, or are open.
func (s *server) publish(client *jsonrpc2.Conn, of snapshot) {
	found, err := of.diagnose()
	if err != nil {
		s.tell(client, severityError, err.Error())
	}
	names := make(map[string]bool)
	for name := range found.of {
		names[name] = true
	}
	for name := range of.documents {
		names[name] = true
	}
	maps.Copy(names, s.published)
	for _, name := range sortedNames(names) {
		p := publishParams{URI: s.uri(name), Diagnostics: found.of[name]}
		if p.Diagnostics == nil {
			p.Diagnostics = []diagnostic{}
		}
		if d, open := of.documents[name]; open {
			p.Version = &d.Version
		}
		_ = client.Notify(s.ctx, "textDocument/publishDiagnostics", p) // the editor may be gone
		if s.published[name] = len(p.Diagnostics) > 0; !s.published[name] {
			delete(s.published, name)
		}
	}
	for _, d := range found.nowhere {
		severity := severityError
		if d.Severity == hcl.DiagWarning {
			severity = severityWarning
		}
		s.tell(client, severity, d.Summary+": "+d.Detail)
	}
}

// tell shows a message to the user, once.
func (s *server) tell(client *jsonrpc2.Conn, severity int, text string) {
	if s.told[text] {
		return
	}
	s.told[text] = true
	_ = client.Notify(s.ctx, "window/showMessage", messageParams{severity, "hlplay: " + text})
}
