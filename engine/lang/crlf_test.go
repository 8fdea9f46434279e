package lang

import (
	"testing"
)

// Sources with Windows line endings mean the same as others. What they read with file() and templatefile() is content,
// which is not changed.
func TestCRLF(t *testing.T) {
	const name = `-- site.hcl --
variable "text" {}
variable "data" {}
play "p" {
  hosts = "all"
  task "t" {
    probe {
      name = <<-EOT
        #!/bin/sh
        echo ${var.text}
      EOT
      list = [var.text, var.data, file("a.txt"), templatefile("b.tmpl", { x = 1 })]
    }
  }
}
-- values.hcl --
text = <<EOT
one
two
EOT
-- values.yaml --
data: |
  three
  four
-- a.txt --
a
-- b.tmpl --
b ${x}
`
	o := testOptions
	o.ValueFiles = []string{"values.hcl", "values.yaml"}
	p := mustLoad(t, crlf(name), o)
	m, _, err := task(t, p, "t").Decode(Scope{})
	if err != nil {
		t.Fatal(err)
	}
	got := m.(*probe)
	if want := "#!/bin/sh\necho one\ntwo\n\n"; got.Name != want {
		t.Errorf("name is %q, want %q", got.Name, want)
	}
	want := []string{"one\ntwo\n", "three\nfour\n", "a\r\n", "b 1\r\n"}
	for i := range want {
		if got.List[i] != want[i] {
			t.Errorf("element %d is %q, want %q", i, got.List[i], want[i])
		}
	}
}
