package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/sourcegraph/jsonrpc2"
)

// editor is a client of the language server.
type editor struct {
	*testing.T
	conn      *jsonrpc2.Conn
	cmd       *exec.Cmd
	dir       string
	published chan published
	stdin     io.Closer
	stderr    bytes.Buffer
}

type place struct{ Line, Character int }

type stretch struct{ Start, End place }

type published struct {
	URI         string
	Version     int
	Diagnostics []struct {
		Range    stretch
		Severity int
		Message  string
	}
}

type suggested struct {
	Label, Detail string
	Documentation struct{ Value string }
	TextEdit      struct {
		Range   stretch
		NewText string
	}
}

// edit starts the language server in a directory with the given files, and initializes it.
func edit(t *testing.T, options any, files map[string]string, args ...string) *editor {
	t.Helper()
	e := &editor{T: t, dir: t.TempDir(), published: make(chan published, 1000)}
	for name, text := range files {
		path := filepath.Join(e.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	e.cmd = hlplayCommand(t, append([]string{"lsp"}, args...)...)
	e.cmd.Dir, e.cmd.Stderr = e.dir, &e.stderr
	in, err := e.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := e.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.cmd.Process.Kill(); _ = e.cmd.Wait() })
	e.stdin = in
	stream := jsonrpc2.NewBufferedStream(struct {
		io.Reader
		io.WriteCloser
	}{out, in}, jsonrpc2.VSCodeObjectCodec{})
	e.conn = jsonrpc2.NewConn(t.Context(), stream, jsonrpc2.HandlerWithError(func(_ context.Context, _ *jsonrpc2.Conn, r *jsonrpc2.Request) (any, error) {
		if r.Method == "textDocument/publishDiagnostics" {
			var p published
			if err := json.Unmarshal(*r.Params, &p); err != nil {
				return nil, err
			}
			e.published <- p
		}
		return nil, nil
	}))
	e.ask("initialize", map[string]any{"processId": nil, "rootUri": "file://" + e.dir, "capabilities": map[string]any{}, "initializationOptions": options}, nil)
	e.notify("initialized", map[string]any{})
	return e
}

func (e *editor) uri(name string) string { return "file://" + filepath.Join(e.dir, name) }

func (e *editor) notify(method string, params any) {
	e.Helper()
	if err := e.conn.Notify(e.Context(), method, params); err != nil {
		e.Fatal(err)
	}
}

// ask sends a request and waits for the response.
func (e *editor) ask(method string, params, result any) {
	e.Helper()
	if err := e.conn.Call(e.Context(), method, params, result); err != nil {
		e.Fatalf("%s: %v; %s", method, err, e.stderr.String())
	}
}

func (e *editor) open(name, text string) {
	e.Helper()
	e.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": e.uri(name), "languageId": "hcl", "version": 1, "text": text}})
}

func (e *editor) change(name, text string, version int) {
	e.Helper()
	e.notify("textDocument/didChange", map[string]any{
		"textDocument": map[string]any{"uri": e.uri(name), "version": version}, "contentChanges": []map[string]any{{"text": text}},
	})
}

// diagnostics waits for the diagnostics of a version of a document.
func (e *editor) diagnostics(name string, version int) published {
	e.Helper()
	for {
		if p := <-e.published; p.URI == e.uri(name) && p.Version == version {
			return p
		}
	}
}

// marked splits a text at "‸", which stands for the cursor.
func marked(t *testing.T, text string) (string, place) {
	t.Helper()
	before, after, ok := strings.Cut(text, "‸")
	if !ok {
		t.Fatal("the text has no cursor")
	}
	line := before[strings.LastIndexByte(before, '\n')+1:]
	units := 0
	for _, r := range line {
		if units++; r > 0xffff {
			units++
		}
	}
	return before + after, place{strings.Count(before, "\n"), units}
}

// at puts the cursor into a document and returns the parameters of a request there.
func (e *editor) at(name, text string) map[string]any {
	e.Helper()
	text, where := marked(e.T, text)
	e.open(name, text)
	return map[string]any{"textDocument": map[string]any{"uri": e.uri(name)}, "position": map[string]any{"line": where.Line, "character": where.Character}}
}

var editorsProject = map[string]string{
	".hlplay.hcl": "inventory = \"hosts.hcl\"\n",
	"hosts.hcl":   "group \"web\" {\n  host \"web1\" {\n    address = \"192.0.2.1\"\n    vars = { site = \"north\" }\n  }\n}\n",
	"site.hcl":    "import \"stage.hcl\" {}\nvariable \"colour\" {\n  type        = string\n  default     = \"red\"\n  description = \"What the lamp shows.\"\n}\n",
	"stage.hcl":   "",
}

const lampStage = `play "lamp 🏮" {
  hosts = "web"
  task "first" {
    command {
      argv  = ["true"]
      reads = true
    }
    register = "first"
  }
  task "lamp" {
    file {
      path    = "/etc/lamp"
      content = var.colour
      mode    = "0644"
    }
    notify = ["switch it on"]
    tags   = ["light"]
  }
  handler "switch it on" {
    service {
      name  = "lamp"
      state = "restarted"
    }
  }
}
`

// Diagnostics are those of `hlplay validate`, with the protocol's columns, and are updated while the user types. An
// imported file is checked as part of the playbook that imports it.
func TestEditorDiagnostics(t *testing.T) {
	e := edit(t, nil, editorsProject)
	e.open("stage.hcl", lampStage)
	if p := e.diagnostics("stage.hcl", 1); len(p.Diagnostics) != 0 {
		t.Errorf("a valid file that is imported: %+v", p)
	}
	wrong := strings.Replace(lampStage, "\"/etc/lamp\"\n", "\"/etc/🏮${var.color}\"\n", 1)
	e.change("stage.hcl", wrong, 2)
	p := e.diagnostics("stage.hcl", 2)
	if len(p.Diagnostics) != 1 {
		t.Fatalf("%+v", p)
	}
	d := p.Diagnostics[0]
	if want := (stretch{place{11, 26}, place{11, 35}}); d.Range != want || d.Severity != 1 || !strings.Contains(d.Message, `Did you mean "colour"?`) {
		t.Errorf("%+v", d)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "stage.hcl"), []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	validate := hlplayCommand(t, "validate", "site.hcl")
	validate.Dir, validate.Stderr = e.dir, nil
	out, err := validate.CombinedOutput()
	said := strings.Join(strings.Fields(string(out)), " ")
	for _, line := range strings.Split(d.Message, "\n") {
		if err == nil || !strings.Contains(said, strings.Join(strings.Fields(line), " ")) {
			t.Errorf("validate says %s, and the editor %s", out, d.Message)
		}
	}
	e.change("stage.hcl", lampStage, 3)
	if p := e.diagnostics("stage.hcl", 3); len(p.Diagnostics) != 0 {
		t.Errorf("corrected: %+v", p)
	}
	// The inventory is also used as it is in the editor.
	e.open("hosts.hcl", strings.Replace(editorsProject["hosts.hcl"], `group "web"`, `group "sites"`, 1))
	for len(e.diagnostics("stage.hcl", 3).Diagnostics) == 0 {
	}
	e.change("hosts.hcl", "hots \"web1\" {}\n", 2)
	if p := e.diagnostics("hosts.hcl", 2); len(p.Diagnostics) != 1 || !strings.Contains(p.Diagnostics[0].Message, "host") {
		t.Errorf("%+v", p)
	}
}

// Completion works in a text with errors before and after the cursor.
func TestEditorCompletion(t *testing.T) {
	for name, test := range map[string]struct {
		text, want, detail, doc, inserts string
		not                              string
	}{
		"block of a file":        {text: "‸", want: "play", inserts: "play "},
		"argument of a play":     {text: "play \"x\" {\n  ‸\n}\n", want: "serial", inserts: "serial = "},
		"module":                 {text: "play \"x\" {\n  task \"y\" {\n    ser‸\n  }\n}\n", want: "service", detail: "systemd", not: "file"},
		"argument of a module":   {text: "play \"x\" {\n  task \"y\" {\n    file {\n      con‸\n", want: "content", detail: "string", not: "path"},
		"argument that is there": {text: "play \"x\" {\n  task \"y\" {\n    file {\n      path = \"/x\"\n      ‸\n", want: "mode", not: "path"},
		"value, in quotes":       {text: strings.Replace(lampStage, `"restarted"`, `"re‸`, 1), want: "restarted", not: "started"},
		"value":                  {text: strings.Replace(lampStage, `"restarted"`, "‸", 1), want: "restarted", inserts: `"restarted"`},
		"root":                   {text: strings.Replace(lampStage, "var.colour", "fa‸", 1), want: "facts"},
		"function":               {text: strings.Replace(lampStage, "var.colour", "templatef‸", 1), want: "templatefile", doc: "filled in"},
		"variable":               {text: strings.Replace(lampStage, "var.colour", `"🏮 ${var.‸`, 1), want: "colour", detail: "string", doc: "What the lamp shows."},
		"fact":                   {text: strings.Replace(lampStage, "var.colour", "facts.ker‸", 1), want: "kernel", detail: "object"},
		"field of a fact":        {text: strings.Replace(lampStage, "var.colour", "facts.kernel.‸", 1), want: "release", detail: "string"},
		"host":                   {text: strings.Replace(lampStage, "var.colour", "host.‸", 1), want: "address"},
		"variable of a host":     {text: strings.Replace(lampStage, "var.colour", "host.vars.‸", 1), want: "site", detail: "string"},
		"host by name":           {text: strings.Replace(lampStage, "var.colour", "hosts[\"web1\"].‸", 1), want: "address"},
		"result":                 {text: strings.Replace(lampStage, "var.colour", "result.‸", 1), want: "first"},
		"field of a result":      {text: strings.Replace(lampStage, "var.colour", "result.first.‸", 1), want: "changed", detail: "bool"},
		"handler":                {text: strings.Replace(lampStage, `"switch it on"]`, `"switch‸`, 1), want: "switch it on"},
		"tag":                    {text: strings.Replace(lampStage, `["first"]`, `["x"]`, 1)[:len(lampStage)-3] + "  task \"z\" {\n    tags = [\"‸", want: "light"},
		"pattern":                {text: strings.Replace(lampStage, `"web"`, `"w‸"`, 1), want: "web1"},
		"errors before":          {text: "play \"a\" {\n  vars = { x = [ \n  task \"q {\n  }\n}\n" + strings.Replace(lampStage, "var.colour", "var.‸", 1), want: "colour"},
		"errors after":           {text: strings.Replace(lampStage, "var.colour", "var.‸", 1) + "play {{ \"\n", want: "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := edit(t, nil, editorsProject)
			var items []suggested
			e.ask("textDocument/completion", e.at("stage.hcl", test.text), &items)
			i := slices.IndexFunc(items, func(s suggested) bool { return s.Label == test.want })
			if i < 0 {
				t.Fatalf("%s is not among %+v", test.want, items)
			}
			if got := items[i]; !strings.Contains(got.Detail, test.detail) || !strings.Contains(got.Documentation.Value, test.doc) || test.inserts != "" && got.TextEdit.NewText != test.inserts {
				t.Errorf("%+v", got)
			}
			if test.not != "" && slices.ContainsFunc(items, func(s suggested) bool { return s.Label == test.not }) {
				t.Errorf("%s is among %+v", test.not, items)
			}
		})
	}
}

// Completion in an inventory offers an inventory's attributes and blocks.
func TestEditorCompletionInInventory(t *testing.T) {
	e := edit(t, nil, editorsProject)
	var items []suggested
	e.ask("textDocument/completion", e.at("hosts.hcl", "host \"web1\" {\n  addr‸"), &items)
	if len(items) != 1 || items[0].Label != "address" {
		t.Errorf("%+v", items)
	}
}

func TestEditorHover(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"module":          {strings.Replace(lampStage, "file {", "fi‸le {", 1), "## Arguments of `file`"},
		"argument":        {strings.Replace(lampStage, "mode ", "mo‸de ", 1), "`mode` — mode"},
		"variable":        {strings.Replace(lampStage, "var.colour", "\"🏮${var.col‸our}\"", 1), "`var.colour` — string, default `\"red\"`\n\nWhat the lamp shows."},
		"function":        {strings.Replace(lampStage, "var.colour", "up‸per(var.colour)", 1), "`upper("},
		"fact":            {strings.Replace(lampStage, "var.colour", "facts.ker‸nel.release", 1), "`facts.kernel` — object"},
		"value of a kind": {strings.Replace(lampStage, "restarted", "rest‸arted", 1), "one of "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := edit(t, nil, editorsProject)
			var found struct{ Contents struct{ Value string } }
			e.ask("textDocument/hover", e.at("stage.hcl", test.text), &found)
			if !strings.Contains(found.Contents.Value, test.want) {
				t.Errorf("%q", found.Contents.Value)
			}
		})
	}
}

func TestEditorDefinition(t *testing.T) {
	for name, test := range map[string]struct {
		file, text, want string
		line             int
	}{
		"variable": {"stage.hcl", strings.Replace(lampStage, "var.colour", "var.co‸lour", 1), "site.hcl", 1},
		"handler":  {"stage.hcl", strings.Replace(lampStage, `"switch it on"]`, `"switch i‸t on"]`, 1), "stage.hcl", 18},
		"result":   {"stage.hcl", strings.Replace(lampStage, "var.colour", "result.fir‸st.stdout", 1), "stage.hcl", 2},
		"host":     {"stage.hcl", strings.Replace(lampStage, `"web"`, `"we‸b1"`, 1), "hosts.hcl", 1},
		"import":   {"site.hcl", strings.Replace(editorsProject["site.hcl"], `"stage`, `"sta‸ge`, 1), "stage.hcl", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := edit(t, nil, editorsProject)
			var found struct {
				URI   string
				Range stretch
			}
			e.ask("textDocument/definition", e.at(test.file, test.text), &found)
			if found.URI != e.uri(test.want) || found.Range.Start.Line != test.line {
				t.Errorf("%+v", found)
			}
		})
	}
}

// Formatting is that of `hlplay fmt`. A text that does not parse is left unchanged.
func TestEditorFormatting(t *testing.T) {
	e := edit(t, nil, editorsProject)
	params := e.at("stage.hcl", "# 🏮\nplay \"x\" {\n  hosts = \"all\"\n  any_errors_fatal = true\n}\n‸")
	var edits []struct {
		Range   stretch
		NewText string
	}
	e.ask("textDocument/formatting", params, &edits)
	if len(edits) != 1 || edits[0].Range != (stretch{place{2, 0}, place{3, 0}}) || edits[0].NewText != "  hosts            = \"all\"\n" {
		t.Errorf("%+v", edits)
	}
	e.change("stage.hcl", "play {{", 2)
	edits = nil
	e.ask("textDocument/formatting", params, &edits)
	if len(edits) != 0 {
		t.Errorf("%+v", edits)
	}
}

// A role is checked as part of the playbooks that use it, with the variables that they give to it.
func TestEditorRole(t *testing.T) {
	e := edit(t, map[string]any{"inventory": "hosts.hcl"}, map[string]string{
		"hosts.hcl":           editorsProject["hosts.hcl"],
		"site.hcl":            "play \"x\" {\n  hosts = \"web\"\n  import \"roles/lamp\" {\n    vars = { colour = \"red\" }\n  }\n}\n",
		"roles/lamp/main.hcl": "",
		"lonely/main.hcl":     "",
	})
	const text = "variable \"colour\" {\n  type = string\n}\ntask \"t\" {\n  file {\n    path = \"/x\"\n    content = var.‸colour\n  }\n}\n"
	params := e.at("roles/lamp/main.hcl", text)
	if p := e.diagnostics("roles/lamp/main.hcl", 1); len(p.Diagnostics) != 0 {
		t.Errorf("%+v", p)
	}
	var items []suggested
	e.ask("textDocument/completion", params, &items)
	if len(items) != 1 || items[0].Label != "colour" {
		t.Errorf("%+v", items)
	}
	e.change("roles/lamp/main.hcl", strings.Replace(text, "‸colour", "size", 1), 2)
	if p := e.diagnostics("roles/lamp/main.hcl", 2); len(p.Diagnostics) != 1 {
		t.Errorf("%+v", p)
	}
	e.at("lonely/main.hcl", text)
	if p := e.diagnostics("lonely/main.hcl", 1); len(p.Diagnostics) != 0 {
		t.Errorf("a role that nobody uses: %+v", p)
	}
}

// The server ends on exit, when its input is closed, and on a signal. An unknown request fails without affecting
// others.
func TestEditorEnds(t *testing.T) {
	for name, test := range map[string]struct {
		end  func(*editor)
		code int
	}{
		"exit":                  {func(e *editor) { e.ask("shutdown", nil, nil); e.notify("exit", nil) }, exitOK},
		"exit without shutdown": {func(e *editor) { e.notify("exit", nil) }, exitInput},
		"closed":                {func(e *editor) { e.stdin.Close() }, exitOK},
		"signal":                {func(e *editor) { _ = e.cmd.Process.Signal(syscall.SIGTERM) }, exitInterrupted},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := edit(t, nil, editorsProject)
			if err := e.conn.Call(t.Context(), "textDocument/fly", map[string]any{}, nil); err == nil || !strings.Contains(err.Error(), "textDocument/fly") {
				t.Errorf("a method that there is not: %v", err)
			}
			e.ask("textDocument/completion", e.at("stage.hcl", lampStage+"‸"), nil)
			test.end(e)
			_ = e.cmd.Wait()
			if code := e.cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, e.stderr.String())
			}
		})
	}
}

// Neovim shows the diagnostics, completes, and formats.
func TestEditorNeovim(t *testing.T) {
	nvim, err := exec.LookPath("nvim")
	if err != nil {
		t.Skip("nvim is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	files := maps.Clone(editorsProject)
	files["stage.hcl"] = strings.Replace(lampStage, "\"/etc/lamp\"\n", "\"/etc/🏮${var.color}\"\n", 1)
	// The test program is hlplay if that is its name.
	if err := os.Symlink(self, filepath.Join(dir, "hlplay")); err != nil {
		t.Fatal(err)
	}
	files["try.lua"] = neovimScript
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), nvim, "--headless", "--clean", "-n", "stage.hcl", "-c", "luafile try.lua", "-c", "qall!")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_STATE_HOME="+dir, "XDG_CACHE_HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	said, err := os.ReadFile(filepath.Join(dir, "said"))
	want := `diagnostic 12:29 there is no variable "color"
corrected: 0
completion: colour
hover: true
definition: site.hcl:2
formatted: true
`
	if err != nil || string(said) != want {
		t.Errorf("%v: %s%s", err, said, out)
	}
}

// neovimScript writes what the editor shows to the file "said". Its columns are Lua's, in bytes.
const neovimScript = `
local said = io.open("said", "w")
local client = vim.lsp.start_client({ name = "hlplay", cmd = { vim.fn.getcwd() .. "/hlplay", "lsp" }, root_dir = vim.fn.getcwd() })
vim.lsp.buf_attach_client(0, client)
local function wait(what) return vim.wait(600000, what, 20) end
local function ask(method, line, column)
  local params = { textDocument = vim.lsp.util.make_text_document_params() }
  if line then
    vim.api.nvim_win_set_cursor(0, { line, column })
    params = vim.lsp.util.make_position_params(0, "utf-16")
  end
  local answers = vim.lsp.buf_request_sync(0, method, params, 600000) or {}
  return (answers[client] or {}).result
end

wait(function() return #vim.diagnostic.get(0) > 0 end)
for _, d in ipairs(vim.diagnostic.get(0)) do
  said:write(string.format("diagnostic %d:%d %s\n", d.lnum + 1, d.col + 1, vim.split(d.message, "\n")[1]))
end
local line = vim.fn.getline(12)
vim.fn.setline(12, (line:gsub("color", "colour")))
wait(function() return #vim.diagnostic.get(0) == 0 end)
said:write("corrected: ", #vim.diagnostic.get(0), "\n")

line = vim.fn.getline(12)
vim.fn.setline(12, (line:gsub("colour.*", "")))
vim.cmd("startinsert!")
local items = ask("textDocument/completion", 12, #vim.fn.getline(12))
said:write("completion: ", items[1].label, "\n")
vim.fn.setline(12, line)

local found = ask("textDocument/hover", 11, 6)
said:write("hover: ", tostring(found ~= nil and found.contents.value:find("Arguments of") ~= nil), "\n")
local place = ask("textDocument/definition", 12, #line - 4)
said:write("definition: ", vim.fn.fnamemodify(place.uri, ":t"), ":", place.range.start.line + 1, "\n")

vim.fn.setline(2, "  hosts   =   \"web\"")
if vim.lsp.buf.format then
  vim.lsp.buf.format({ timeout_ms = 600000 })
else -- before Neovim 0.8
  vim.lsp.buf.formatting_sync(nil, 600000)
end
said:write("formatted: ", tostring(vim.fn.getline(2) == "  hosts = \"web\""), "\n")
said:close()
`
