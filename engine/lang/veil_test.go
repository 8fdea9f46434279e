package lang

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
)

// A secret may be in a file of values, in the default of a sensitive variable or in a call to sensitive(). Whatever is
// wrong with it or next to it, the output of Load says where the problem is but does not show the secret.
func TestDiagnosticsShowNoSecret(t *testing.T) {
	const secret = "hunter2-tr0ub4dor"
	const variable = "-- site.hcl --\nvariable \"password\" {\n  type      = string\n  sensitive = true\n}\n"
	for name, c := range map[string]struct {
		files  string // SECRET stands for the secret
		values string // the file of values, if any
		at     string
	}{
		"HCL, a quote is missing":       {variable + "-- v.hcl --\npassword = \"SECRET\n", "v.hcl", "v.hcl:1"},
		"HCL, no quotes":                {variable + "-- v.hcl --\npassword = SECRET\n", "v.hcl", "v.hcl:1"},
		"HCL, no equals sign":           {variable + "-- v.hcl --\npassword \"SECRET\"\n", "v.hcl", "v.hcl:1"},
		"HCL, a colon":                  {variable + "-- v.hcl --\npassword: SECRET\n", "v.hcl", "v.hcl:1"},
		"HCL, a bad escape":             {variable + "-- v.hcl --\npassword = \"SECRET\\!\"\n", "v.hcl", "v.hcl:1"},
		"HCL, an unfinished template":   {variable + "-- v.hcl --\npassword = \"${SECRET\"\n", "v.hcl", "v.hcl:1"},
		"HCL, a keyword in a template":  {variable + "-- v.hcl --\npassword = \"%{SECRET}\"\n", "v.hcl", "v.hcl:1"},
		"HCL, an unfinished heredoc":    {variable + "-- v.hcl --\npassword = <<EOT\nSECRET\n", "v.hcl", "v.hcl:3"},
		"HCL, a block":                  {variable + "-- v.hcl --\npassword {\n  SECRET = 1\n}\n", "v.hcl", "v.hcl:1"},
		"HCL, twice":                    {variable + "-- v.hcl --\npassword = \"SECRET\"\npassword = \"SECRET\"\n", "v.hcl", "v.hcl:2"},
		"HCL, a function":               {variable + "-- v.hcl --\npassword = upper(\"SECRET\")\n", "v.hcl", "v.hcl:1"},
		"HCL, no such variable":         {variable + "-- v.hcl --\npasword = \"SECRET\"\n", "v.hcl", "v.hcl:1"},
		"HCL, a wrong type":             {variable + "-- v.hcl --\npassword = { SECRET = \"SECRET\" }\n", "v.hcl", "site.hcl:1"},
		"HCL, not sensitive":            {"-- site.hcl --\nvariable \"n\" {\n  type = number\n}\n-- v.hcl --\nn = \"SECRET\"\n", "v.hcl", "v.hcl:1"},
		"HCL, a number that is no text": {variable + "-- v.hcl --\npassword = \"SECRET\x00\"\n", "v.hcl", "v.hcl:1"},
		"JSON, a quote is missing":      {variable + "-- v.json --\n{\n  \"password\": SECRET\n}\n", "v.json", "line 2"},
		"JSON, cut":                     {variable + "-- v.json --\n{\"password\": \"SECRET\n", "v.json", "line 1"},
		"JSON, a bad escape":            {variable + "-- v.json --\n{\"password\": \"SECRET\\!\"}\n", "v.json", "line 1"},
		"JSON, a comma":                 {variable + "-- v.json --\n{\"password\": \"SECRET\" \"SECRET\"}\n", "v.json", "line 1"},
		"JSON, text behind it":          {variable + "-- v.json --\n{\"password\": \"SECRET\"} SECRET\n", "v.json", "v.json"},
		"JSON, no object":               {variable + "-- v.json --\n[\"SECRET\"]\n", "v.json", "v.json"},
		"JSON, a wrong type":            {variable + "-- v.json --\n{\"password\": {\"SECRET\": \"SECRET\"}}\n", "v.json", "site.hcl:1"},
		"YAML, an alias":                {variable + "-- v.yaml --\npassword: *SECRET\n", "v.yaml", "v.yaml"},
		"YAML, a tag":                   {variable + "-- v.yaml --\npassword: !SECRET x\n", "v.yaml", "v.yaml"},
		"YAML, a known tag":             {variable + "-- v.yaml --\npassword: !!int SECRET\n", "v.yaml", "v.yaml"},
		"YAML, bad base64":              {variable + "-- v.yaml --\npassword: !!binary \"SECRET \\\" SECRET'`\"\n", "v.yaml", "v.yaml"},
		"YAML, a percent sign":          {variable + "-- v.yaml --\npassword: %SECRET\n", "v.yaml", "v.yaml"},
		"YAML, a colon":                 {variable + "-- v.yaml --\npassword: a: SECRET\n", "v.yaml", "v.yaml"},
		"YAML, a quote is missing":      {variable + "-- v.yaml --\npassword: \"SECRET\n", "v.yaml", "v.yaml"},
		"YAML, a document":              {variable + "-- v.yaml --\npassword: SECRET\n---\nSECRET\n", "v.yaml", "v.yaml"},
		"YAML, no object":               {variable + "-- v.yaml --\nSECRET\n", "v.yaml", "v.yaml"},
		"default, a quote is missing":   {"-- site.hcl --\nvariable \"p\" {\n  default = \"SECRET\n  sensitive = true\n}\n", "", "site.hcl:2"},
		"default, an operator":          {"-- site.hcl --\nvariable \"p\" {\n  sensitive = true\n  default   = \"SECRET\" +\n}\n", "", "site.hcl:"},
		"default, a heredoc":            {"-- site.hcl --\nvariable \"p\" {\n  sensitive = true\n  default   = <<EOT\nabc ${SECRET} \nEOT\n}\n", "", "site.hcl:4"},
		"default, an unknown function":  {"-- site.hcl --\nvariable \"p\" {\n  default = uper(\"SECRET\")\n  sensitive = true\n}\n", "", "site.hcl:2"},
		"default, a wrong type":         {"-- site.hcl --\nvariable \"p\" {\n  type = number\n  default = \"SECRET\"\n  sensitive = true\n}\n", "", "site.hcl:1"},
		"default, an escape":            {"-- site.hcl --\nvariable \"p\" {\n  default = \"SECRET\\!\"\n  sensitive = true\n}\n", "", "site.hcl:2"},
		"default, words behind it":      {"-- site.hcl --\nvariable \"p\" {\n  default = \"SECRET\" # SECRET\n  sensitive = true, \"SECRET\"\n}\n", "", "site.hcl:3"},
		"sensitive(), a bracket":        {"-- site.hcl --\nlocals {\n  p = sensitive(\"SECRET\"\n}\n", "", "site.hcl:"},
		"sensitive(), two arguments":    {"-- site.hcl --\nlocals {\n  p = sensitive(\"SECRET\", 1)\n}\n", "", "site.hcl:2"},
		"sensitive(), on lines":         {"-- site.hcl --\nlocals {\n  p = sensitive(\n    uper(\"SECRET\"))\n}\n", "", "site.hcl:3"},
		"sensitive(), in a template":    {"-- site.hcl --\nlocals {\n  p = \"x ${sensitive(\"SECRET\")} ${y}\"\n}\n", "", "site.hcl:2"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions
			if c.values != "" {
				o.ValueFiles = []string{c.values}
			}
			p, diags := loadArchive(strings.ReplaceAll(c.files, "SECRET", secret), o)
			got := rendered(p, diags)
			if !diags.HasErrors() {
				t.Fatalf("Load found no fault:\n%s", got)
			}
			for _, part := range []string{secret, secret[:8], "tr0ub4dor"} {
				if strings.Contains(got, part) {
					t.Errorf("the secret is shown:\n%s", got)
					break
				}
			}
			if !strings.Contains(got, c.at) {
				t.Errorf("the diagnostic does not say where (%s):\n%s", c.at, got)
			}
		})
	}
}

// Only secrets are withheld.
func TestLinesBesideSecretsAreShown(t *testing.T) {
	p, diags := loadArchive(`-- site.hcl --
variable "password" {
  type      = strin
  default   = "hunter2-tr0ub4dor"
  sensitive = true
}
variable "public" {
  default   = uper("shown")
  sensitive = false
}
locals {
  a = nonsensitive(sensitive("hunter2-tr0ub4dor"))
  b = nosuch(local.a)
}
`, testOptions)
	got := rendered(p, diags)
	for _, want := range []string{"type      = strin", `default   = uper("shown")`, "b = nosuch(local.a)"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not shown:\n%s", want, got)
		}
	}
}

// A secret that is too short to be redacted is reported, with its location, when the playbook is read.
func TestTooShortToBeHidden(t *testing.T) {
	for name, c := range map[string]struct{ files, want string }{
		"default":          {"variable \"pin\" {\n  default   = \"ab\"\n  sensitive = true\n}\n", "site.hcl:1"},
		"file of values":   {"variable \"pin\" {\n  sensitive = true\n}\n-- v.hcl --\n\npin = \"ab\"\n", "v.hcl:2"},
		"a number":         {"variable \"pin\" {\n  default   = 123\n  sensitive = true\n}\n", "site.hcl:1"},
		"within an object": {"variable \"pin\" {\n  default   = { user = \"somebody\", pin = \"ab\" }\n  sensitive = true\n}\n", "site.hcl:1"},
		"a local":          {"locals {\n  pin = sensitive(\"ab\")\n}\n", "site.hcl:2"},
		"a literal":        {"play \"p\" {\n  hosts = \"all\"\n  task \"t\" {\n    probe {\n      name = sensitive(\"ab\")\n    }\n  }\n}\n", "site.hcl:5"},
		"long enough":      {"variable \"pin\" {\n  default   = \"abc\"\n  sensitive = true\n}\nlocals {\n  n = length(var.pin)\n  pin = sensitive(1234)\n}\n", ""},
		"empty":            {"variable \"pin\" {\n  default   = \"\"\n  sensitive = true\n}\n", ""},
		"not sensitive":    {"variable \"pin\" {\n  default   = \"ab\"\n}\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions
			if strings.Contains(c.files, "v.hcl") {
				o.ValueFiles = []string{"v.hcl"}
			}
			p, diags := loadArchive("-- site.hcl --\n"+c.files, o)
			got := rendered(p, diags)
			switch {
			case c.want == "" && len(diags) > 0, strings.Contains(got, `"ab"`), strings.Contains(got, "123"):
				t.Errorf("Load says:\n%s", got)
			case c.want != "" && (len(diags) != 1 || diags[0].Severity != hcl.DiagWarning || !strings.Contains(got, "too short to be redacted") || !strings.Contains(got, c.want)):
				t.Errorf("want one warning at %s, got:\n%s", c.want, got)
			}
		})
	}
}
