// Package lsp is a language server for playbooks and inventories. It implements the Language Server Protocol 3.17 and
// reuses the commands' knowledge: diagnostics are those of `hlplay validate`, documentation is that of `hlplay doc`,
// and formatting is that of `hlplay fmt`.
package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"

	"github.com/sourcegraph/jsonrpc2"

	"hlplay/engine/inventory"
	"hlplay/engine/lang"
)

// Options configure the server.
type Options struct {
	// Language returns the options for checking a playbook. inv is nil if there is no inventory; extra are additional
	// arguments of -e.
	Language func(ctx context.Context, inv *inventory.Inventory, extra []string) (lang.Options, error)
	// Inventories are the paths of the inventory; empty means the project's.
	Inventories []string
	// Log receives reports of defects of the server.
	Log io.Writer
	// Version is the version of the program.
	Version string
}

// errEarly is returned by Serve if the editor sent exit without shutdown before it.
var errEarly = errors.New("the editor ended the language server without shutdown")

// Serve serves an editor until it sends exit, the connection ends, or ctx ends. It changes the working directory to the
// editor's root directory, because a project's paths are relative to that.
func Serve(ctx context.Context, conn io.ReadWriteCloser, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{
		options: o, ctx: ctx, exit: cancel, dirty: make(chan struct{}, 1),
		documents: map[string]*document{}, published: map[string]bool{}, parsed: map[string]parsedFile{}, told: map[string]bool{},
	}
	stream := jsonrpc2.NewBufferedStream(conn, jsonrpc2.VSCodeObjectCodec{})
	handler := jsonrpc2.HandlerWithError(func(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) (any, error) {
		return s.handle(r)
	})
	quiet := jsonrpc2.SetLogger(log.New(io.Discard, "", 0))
	client := jsonrpc2.NewConn(ctx, stream, handler, quiet)
	go s.check(client)
	select {
	case <-client.DisconnectNotify():
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exited && !s.shut {
		return errEarly
	}
	return nil
}

// server is the state of one connection.
type server struct {
	options Options
	ctx     context.Context
	exit    func()
	// dirty signals that the diagnostics are out of date.
	dirty chan struct{}

	mu           sync.Mutex
	shut, exited bool
	root         string // absolute
	settings     settings
	documents    map[string]*document // the open ones, by name

	// Of the checker alone.
	published map[string]bool // names of files whose diagnostics the editor shows
	told      map[string]bool // messages that the user has seen

	files  sync.Mutex
	parsed map[string]parsedFile // by name
	last   *recalled
}

// methods answers requests and notifications by their names.
var methods = map[string]func(*server, json.RawMessage) (any, error){
	"initialize":                      with((*server).initialize),
	"shutdown":                        func(s *server, _ json.RawMessage) (any, error) { return nil, s.shutdown() },
	"exit":                            func(s *server, _ json.RawMessage) (any, error) { return nil, s.end() },
	"textDocument/didOpen":            with((*server).opened),
	"textDocument/didChange":          with((*server).changed),
	"textDocument/didSave":            func(s *server, _ json.RawMessage) (any, error) { return nil, s.reread() },
	"textDocument/didClose":           with((*server).closed),
	"textDocument/completion":         with((*server).completion),
	"textDocument/hover":              with((*server).hover),
	"textDocument/definition":         with((*server).definition),
	"textDocument/formatting":         with((*server).formatting),
	"workspace/didChangeWatchedFiles": func(s *server, _ json.RawMessage) (any, error) { return nil, s.reread() },
}

// with adapts a handler of typed parameters to one of JSON.
func with[P any](f func(*server, P) (any, error)) func(*server, json.RawMessage) (any, error) {
	return func(s *server, src json.RawMessage) (any, error) {
		var params P
		if err := json.Unmarshal(src, &params); err != nil {
			return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: "the parameters are not as the protocol says: " + err.Error()}
		}
		return f(s, params)
	}
}

// handle handles one message. A panic is an error of its request; the server continues.
func (s *server) handle(r *jsonrpc2.Request) (result any, err error) {
	defer s.recovered(r.Method, &err)
	method := methods[r.Method]
	if method == nil {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeMethodNotFound, Message: "hlplay does not support " + r.Method}
	}
	s.mu.Lock()
	shut := s.shut
	s.mu.Unlock()
	if shut && r.Method != "exit" {
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidRequest, Message: "the language server was shut down"}
	}
	src := json.RawMessage("null")
	if r.Params != nil {
		src = *r.Params
	}
	return method(s, src)
}

// recovered turns a panic into an error, with its stack in the log.
func (s *server) recovered(what string, err *error) {
	if p := recover(); p != nil {
		fmt.Fprintf(s.options.Log, "hlplay: defect: %s: %v\n%s", what, p, debug.Stack())
		*err = &jsonrpc2.Error{Code: jsonrpc2.CodeInternalError, Message: fmt.Sprintf("defect in hlplay: %v; its stack is on standard error", p)}
	}
}

func (s *server) initialize(p initializeParams) (any, error) {
	root := p.RootURI
	if root == "" && len(p.WorkspaceFolders) > 0 {
		root = p.WorkspaceFolders[0].URI
	}
	if dir, ok := filePath(root); ok {
		if err := os.Chdir(dir); err != nil {
			return nil, fmt.Errorf("cannot work in the root of the project: %w", err)
		}
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.root, s.settings = dir, p.Settings
	return map[string]any{
		"capabilities": map[string]any{
			"textDocumentSync":           map[string]any{"openClose": true, "change": 1, "save": true}, // 1: the editor sends whole texts
			"completionProvider":         map[string]any{"triggerCharacters": []string{".", "\"", "="}},
			"hoverProvider":              true,
			"definitionProvider":         true,
			"documentFormattingProvider": true,
		},
		"serverInfo": map[string]string{"name": "hlplay", "version": s.options.Version},
	}, nil
}

func (s *server) shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	return nil
}

func (s *server) end() error {
	s.mu.Lock()
	s.exited = true
	s.mu.Unlock()
	s.exit()
	return nil
}

// soil makes the diagnostics be computed again.
func (s *server) soil() error {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
	return nil
}

// reread is soil for files that have changed on disk.
func (s *server) reread() error {
	s.files.Lock()
	s.last = nil
	s.files.Unlock()
	return s.soil()
}

func (s *server) opened(p openParams) (any, error) {
	p.Document.Text = lines(p.Document.Text)
	s.mu.Lock()
	s.documents[s.name(p.Document.URI)] = &p.Document
	s.mu.Unlock()
	return nil, s.soil()
}

func (s *server) changed(p changeParams) (any, error) {
	if len(p.Changes) == 0 {
		return nil, nil
	}
	p.Document.Text = lines(p.Changes[len(p.Changes)-1].Text)
	s.mu.Lock()
	s.documents[s.name(p.Document.URI)] = &p.Document
	s.mu.Unlock()
	return nil, s.soil()
}

func (s *server) closed(p positionParams) (any, error) {
	s.mu.Lock()
	delete(s.documents, s.name(p.Document.URI))
	s.mu.Unlock()
	return nil, s.soil()
}

// text returns the text of an open document and its name.
func (s *server) text(uri string) (name, text string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = s.name(uri)
	d := s.documents[name]
	if d == nil {
		return "", "", &jsonrpc2.Error{Code: jsonrpc2.CodeInvalidParams, Message: uri + " is not open"}
	}
	return name, d.Text, nil
}

// name returns the file name of a document: relative to the root if the file is below it, as on a command line there.
func (s *server) name(uri string) string {
	path, ok := filePath(uri)
	if !ok { // a text that has never been saved
		return filepath.Base(strings.ReplaceAll(uri, ":", "/")) + ".hcl"
	}
	if rel, err := filepath.Rel(s.root, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

// uri returns the URI of a file: the one that the editor uses if the file is open.
func (s *server) uri(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.documents[name]; d != nil {
		return d.URI
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(s.root, name)
	}
	return (&url.URL{Scheme: "file", Path: name}).String()
}

// filePath returns the path in a file URI.
func filePath(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" || u.Path == "" {
		return "", false
	}
	return filepath.Clean(u.Path), true
}
