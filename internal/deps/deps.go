// Package deps keeps the chosen libraries in go.mod until their first use lands.
package deps

import (
	_ "charm.land/lipgloss/v2"
	_ "github.com/agext/levenshtein"
	_ "github.com/aymanbagabas/go-udiff"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/hashicorp/hcl/v2/hclsyntax"
	_ "github.com/kevinburke/ssh_config"
	_ "github.com/pkg/sftp"
	_ "github.com/rogpeppe/go-internal/testscript"
	_ "github.com/skeema/knownhosts"
	_ "github.com/spf13/afero"
	_ "github.com/spf13/cobra"
	_ "github.com/zclconf/go-cty-yaml"
	_ "github.com/zclconf/go-cty/cty"
	_ "golang.org/x/crypto/ssh"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/term"
	_ "mvdan.cc/sh/v3/interp"
)
