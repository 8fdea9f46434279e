package lsp

import "encoding/json"

// The parts of the Language Server Protocol 3.17 that the server uses.

// position is a position in a text: a line and a column in UTF-16 code units, both starting at zero.
type position struct {
	Line      int `json:"line"`
	Character int `json:"character"`
}

// span is a range of a text; its end is exclusive.
type span struct {
	Start position `json:"start"`
	End   position `json:"end"`
}

type location struct {
	URI   string `json:"uri"`
	Range span   `json:"range"`
}

type textEdit struct {
	Range   span   `json:"range"`
	NewText string `json:"newText"`
}

type document struct {
	URI     string `json:"uri"`
	Version int    `json:"version"`
	Text    string `json:"text"`
}

// initializeParams are the parameters of initialize. Editors send null for what they do not have.
type initializeParams struct {
	RootURI          string `json:"rootUri"`
	WorkspaceFolders []struct {
		URI string `json:"uri"`
	} `json:"workspaceFolders"`
	Settings settings `json:"initializationOptions"`
}

// settings are the initialization options.
type settings struct {
	// Inventory replaces the inventory from the command line and the project.
	Inventory texts `json:"inventory"`
	// ExtraVars are additional arguments of -e.
	ExtraVars texts `json:"extraVars"`
}

// texts is a list of strings, which may be written as a single string.
type texts []string

// UnmarshalJSON implements json.Unmarshaler.
func (t *texts) UnmarshalJSON(src []byte) error {
	var one string
	if json.Unmarshal(src, &one) == nil {
		if *t = nil; one != "" {
			*t = texts{one}
		}
		return nil
	}
	return json.Unmarshal(src, (*[]string)(t))
}

type openParams struct {
	Document document `json:"textDocument"`
}

type changeParams struct {
	Document document `json:"textDocument"`
	Changes  []struct {
		Text string `json:"text"`
	} `json:"contentChanges"`
}

type positionParams struct {
	Document document `json:"textDocument"`
	Position position `json:"position"`
}

// The severities of diagnostics and messages.
const (
	severityError   = 1
	severityWarning = 2
)

type diagnostic struct {
	Range    span   `json:"range"`
	Severity int    `json:"severity"`
	Source   string `json:"source"`
	Message  string `json:"message"`
}

type publishParams struct {
	URI         string       `json:"uri"`
	Version     *int         `json:"version,omitempty"`
	Diagnostics []diagnostic `json:"diagnostics"`
}

type messageParams struct {
	Type    int    `json:"type"`
	Message string `json:"message"`
}

// The kinds of completion items.
const (
	kindFunction   = 3
	kindField      = 5
	kindVariable   = 6
	kindModule     = 9
	kindProperty   = 10
	kindEnumMember = 20
	kindReference  = 18
	kindBlock      = 7 // a class
)

type markup struct {
	Kind  string `json:"kind"`
	Value string `json:"value"`
}

// markdown returns documentation as Markdown, or nil if there is none.
func markdown(text string) *markup {
	if text == "" {
		return nil
	}
	return &markup{"markdown", text}
}

type completionItem struct {
	Label         string   `json:"label"`
	Kind          int      `json:"kind"`
	Detail        string   `json:"detail,omitempty"`
	Documentation *markup  `json:"documentation,omitempty"`
	TextEdit      textEdit `json:"textEdit"`
}

type hover struct {
	Contents markup `json:"contents"`
	Range    span   `json:"range"`
}
