package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"hlplay/engine/plural"
	"hlplay/engine/secret"
	"hlplay/modules/nebula"
)

func secretNebulaCommand() *cobra.Command {
	var file string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "nebula-ca NAME",
		Short: "Make a certificate authority for a Nebula network",
		Long: `Nebula-ca makes the certificate authority of a Nebula network, and writes it to a new file of variables: nebula_ca, its
certificate, in clear, and nebula_ca_key, its private key, encrypted for the recipients. The key is never on disk in clear.`,
		Example: `  hlplay secret nebula-ca "our servers"
  hlplay run playbooks/overlay.hcl -i inventory -e overlay=nebula -e @nebula.hcl`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("%s takes a name for the authority", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			recipients, err := secret.FindRecipients(filepath.Dir(file))
			if err != nil {
				return err
			}
			to, err := secret.ReadRecipients(recipients)
			if err != nil {
				return err
			}
			now := time.Now()
			certificate, key, err := nebula.NewAuthority(args[0], now, life)
			if err != nil {
				return err
			}
			sealed, err := secret.SealValue(key, to)
			if err != nil {
				return err
			}
			end := now.Add(life).UTC().Format(time.DateOnly)
			text := fmt.Sprintf("# Certificate authority of a Nebula network, valid until %s: %s.\n\nnebula_ca     = <<PEM\n%s\nPEM\nnebula_ca_key = %s(%q)\n",
				end, args[0], bytes.TrimSpace(certificate), secret.ValueFunction, sealed)
			if err := writeNew(file, []byte(text)); err != nil {
				return err
			}
			fmt.Printf("%s contains the authority %q, which is valid until %s, and its key, encrypted for %s\n", file, args[0], end, plural.Of(len(to), "recipient"))
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "out", "o", "nebula.hcl", "the new `FILE` of variables")
	cmd.Flags().DurationVar(&life, "duration", 10*365*24*time.Hour, "how long the authority is valid; no host's certificate outlives it")
	return cmd
}

// writeNew writes a file that does not exist yet.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists, and nothing was written: name another file with --out", name)
	case err != nil:
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
