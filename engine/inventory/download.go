package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/zclconf/go-cty/cty"
)

var downloadNames = []string{"sha256", "content", "files"}

// download decodes what simulated nodes get from a URL. before are the downloads that precede it in its block.
func (d *decoder) download(block *hclsyntax.Block, before []Download) (Download, bool) {
	url, ok := d.label(block, "download")
	if !ok {
		return Download{}, false
	}
	dl := Download{URL: url}
	switch {
	case !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://"):
		d.errorf(block.LabelRanges[0], "Invalid download", "%q is not a URL that begins with https:// or http://.", url)
		return dl, false
	case slices.ContainsFunc(before, func(other Download) bool { return other.URL == url }):
		d.errorf(block.DefRange(), "Duplicate download", "This rehearsal block has a download %q already.", url)
		return dl, false
	}
	for _, attr := range attributes(block.Body) {
		switch attr.Name {
		case "sha256":
			sum := d.string(attr)
			if sum == nil {
				continue
			}
			if raw, err := hex.DecodeString(*sum); err != nil || len(raw) != sha256.Size {
				d.errorf(attr.Expr.Range(), "Invalid download", "%q is not a SHA-256 checksum: expected 64 hexadecimal digits.", *sum)
				sum = nil
			}
			set(&dl.SHA256, sum)
		case "content":
			set(&dl.Content, d.string(attr))
		case "files":
			dl.Files = d.files(attr, "Invalid download", func(name string) string {
				if !fs.ValidPath(name) || name == "." {
					return "is not the path of a file in an archive"
				}
				return ""
			})
		default:
			d.unknownAttribute(attr, "A download block", downloadNames)
		}
	}
	for _, inner := range block.Body.Blocks {
		d.unknownBlock(inner, "A download block", nil)
	}
	return dl, true
}

func writeDownload(body *hclwrite.Body, dl Download) {
	for _, attr := range []struct{ name, value string }{{"sha256", dl.SHA256}, {"content", dl.Content}} {
		if attr.value != "" {
			body.SetAttributeValue(attr.name, cty.StringVal(attr.value))
		}
	}
	writeFiles(body, dl.Files)
}
