package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"hlplay/engine/secret"
)

// keyFlags name what opens secrets.
type keyFlags struct {
	identities, passwordFiles, vaultIDs []string
}

func (f *keyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.identities, "identity", nil, "open secrets with the age or SSH key in `FILE` (repeatable; without it, with your usual keys)")
	cmd.Flags().StringArrayVar(&f.passwordFiles, "vault-password-file", nil, "open secrets of Ansible Vault with the password in `FILE`, or that it prints if it is executable (repeatable)")
	cmd.Flags().StringArrayVar(&f.vaultIDs, "vault-id", nil, "the password of a vault ID: `ID@FILE`, or ID@prompt to be asked for it (repeatable)")
}

// keyring opens secrets with the user's keys. A lenient one asks for no passphrase, and leaves unknown what it cannot open.
func (f *keyFlags) keyring(ctx context.Context, lenient bool) *secret.Keyring {
	o := secret.Options{Identities: f.identities, Context: ctx, Lenient: lenient}
	for _, file := range f.passwordFiles {
		o.VaultPasswords = append(o.VaultPasswords, secret.VaultPassword{File: file})
	}
	for _, id := range f.vaultIDs {
		o.VaultPasswords = append(o.VaultPasswords, secret.ParseVaultID(id))
	}
	if !lenient {
		o.Ask = prompter(func(ask func()) { ask() })
	}
	return secret.NewKeyring(o)
}

func secretCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "secret",
		Short: "Encrypt and edit secrets in playbooks and inventories",
		Long: fmt.Sprintf(`Secrets are encrypted with age (age-encryption.org) for the public keys in the file %s, which lies
beside the playbooks or above them and is committed with them. They are opened with your age or SSH key: one that
--identity names, or else
  %s
  %s
  %s
  %s
A playbook reads an encrypted value with secret("…"), and an encrypted file with secret_file("PATH").`,
			append([]any{secret.RecipientsFile}, anyList(secret.UsualIdentities())...)...),
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(secretEncryptCommand(), secretDecryptCommand(), secretEditCommand(), secretRekeyCommand())
	return cmd
}

func anyList(list []string) []any {
	all := make([]any, len(list))
	for i, s := range list {
		all[i] = s
	}
	return all
}

func secretEncryptCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "encrypt [FILE…]",
		Short: "Encrypt files in place, or a value from the input",
		Long: `Without a file, encrypt asks for a value, or reads it from the standard input where that is no terminal, and prints it
as it stands in a playbook. Of a value of one line the newline at its end is dropped.`,
		Example: `  hlplay secret encrypt
  openssl rand -hex 20 | hlplay secret encrypt
  hlplay secret encrypt files/tls.key`,
		RunE: func(cmd *cobra.Command, files []string) error {
			if len(files) == 0 {
				return encryptInput(cmd.Context())
			}
			for _, file := range files {
				if err := secret.EncryptFile(file); err != nil {
					return err
				}
				fmt.Printf("%s is encrypted\n", file)
			}
			return nil
		},
	}
}

func encryptInput(ctx context.Context) error {
	recipients, err := secret.FindRecipients(".")
	if err != nil {
		return err
	}
	to, err := secret.ReadRecipients(recipients)
	if err != nil {
		return err
	}
	text, err := secretInput(ctx)
	if err != nil {
		return err
	}
	sealed, err := secret.SealValue(text, to)
	if err == nil {
		fmt.Printf("%s(%q)\n", secret.ValueFunction, sealed)
	}
	return err
}

func secretInput(ctx context.Context) ([]byte, error) {
	if term.IsTerminal(int(os.Stdin.Fd())) {
		answer, err := prompter(func(ask func()) { ask() })(ctx, "Secret: ")
		return []byte(answer), err
	}
	text, err := io.ReadAll(os.Stdin)
	if err == nil && len(text) == 0 {
		err = errors.New("the standard input is empty, and was to be encrypted")
	}
	if bytes.Count(text, []byte("\n")) == 1 {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	return text, err
}

// onePlace is for commands that work on one encrypted file or value.
func onePlace(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one encrypted file, or FILE:LINE for an encrypted value in it", cmd.CommandPath())
	}
	return nil
}

// open returns the place that a user names, and the secret there.
func (f *keyFlags) open(ctx context.Context, name string) (*secret.Place, []byte, error) {
	place, err := secret.Locate(name)
	if err != nil {
		return nil, nil, err
	}
	text, err := place.Open(f.keyring(ctx, false))
	return place, text, err
}

func secretDecryptCommand() *cobra.Command {
	f := &keyFlags{}
	cmd := &cobra.Command{
		Use:   "decrypt FILE[:LINE]",
		Short: "Print an encrypted file or value",
		Args:  onePlace,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, text, err := f.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if term.IsTerminal(int(os.Stdout.Fd())) && !bytes.HasSuffix(text, []byte("\n")) {
				text = append(text, '\n')
			}
			_, err = os.Stdout.Write(text)
			return err
		},
	}
	f.add(cmd)
	return cmd
}

func secretEditCommand() *cobra.Command {
	f := &keyFlags{}
	cmd := &cobra.Command{
		Use:   "edit FILE[:LINE]",
		Short: "Change an encrypted file or value with an editor",
		Long: `Edit starts the editor that $VISUAL or $EDITOR names on a private copy in memory (on a tmpfs), and encrypts the result
for the recipients. The copy is removed however the editor ends.`,
		Args: onePlace,
		RunE: func(cmd *cobra.Command, args []string) error {
			place, text, err := f.open(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			editor := cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), "vi")
			edited, err := secret.Edit(cmd.Context(), editor, text, func(note string) { fmt.Fprintln(os.Stderr, "hlplay: note:", note) })
			if err != nil {
				return err
			}
			if bytes.Equal(edited, text) {
				fmt.Printf("%s is unchanged\n", place)
				return nil
			}
			if err := place.Replace(edited); err != nil {
				return err
			}
			fmt.Printf("%s is encrypted anew\n", place)
			return nil
		},
	}
	f.add(cmd)
	return cmd
}

func secretRekeyCommand() *cobra.Command {
	f := &keyFlags{}
	var check bool
	cmd := &cobra.Command{
		Use:   "rekey [PATH…]",
		Short: "Encrypt all secrets again, for changed recipients",
		Long: fmt.Sprintf(`Rekey opens every secret in the named files and directories, by default in the directory of %s, and encrypts it for
those who are listed there now. A recipient who was removed can still open what they have a copy of: change what they know.`, secret.RecipientsFile),
		RunE: func(cmd *cobra.Command, paths []string) error {
			if len(paths) == 0 {
				recipients, err := secret.FindRecipients(".")
				if err != nil {
					return err
				}
				paths = []string{filepath.Dir(recipients)}
			}
			files, err := secret.Rekey(f.keyring(cmd.Context(), false), paths, check)
			for _, file := range files {
				fmt.Println(file)
			}
			if err == nil && len(files) == 0 {
				fmt.Println("there are no secrets")
			}
			return err
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&check, "check", "C", false, "say which files have secrets, and change nothing")
	return cmd
}
