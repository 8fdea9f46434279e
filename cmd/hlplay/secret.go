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

// keyFlags name the keys that decrypt secrets.
type keyFlags struct {
	identities, passwordFiles, vaultIDs []string
}

func (f *keyFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&f.identities, "identity", nil, "decrypt secrets with the age or SSH key in `FILE` (repeatable; default: your usual keys)")
	cmd.Flags().StringArrayVar(&f.passwordFiles, "vault-password-file", nil, "decrypt Ansible Vault secrets with the password in `FILE`, or printed by it if it is executable (repeatable)")
	cmd.Flags().StringArrayVar(&f.vaultIDs, "vault-id", nil, "take the password of a vault ID from `ID@FILE`; ID@prompt asks for it (repeatable)")
}

// keyring decrypts secrets with the user's keys. A lenient one asks for no passphrase, and treats what it cannot decrypt as
// unknown.
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
		Long: fmt.Sprintf(`Secrets are encrypted with age (age-encryption.org) for the public keys in the file %s, in the directory
of the playbooks or one above it, and committed with them. They are decrypted with your age or SSH key: the one that --identity
names, or else
  %s
  %s
  %s
  %s
A playbook reads an encrypted value with secret("…"), and an encrypted file with secret_file("PATH").`,
			append([]any{secret.RecipientsFile}, anyList(secret.UsualIdentities())...)...),
		Args: knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(secretEncryptCommand(), secretDecryptCommand(), secretEditCommand(), secretRekeyCommand(), secretNebulaCommand())
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
		Short: "Encrypt files in place, or a value from standard input",
		Long: `Without a file, encrypt asks for a value, or reads standard input if that is not a terminal, and prints the encrypted
value as it goes into a playbook. The newline at the end of a single-line value is dropped.`,
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
		err = errors.New("standard input is empty: there is nothing to encrypt")
	}
	if bytes.Count(text, []byte("\n")) == 1 {
		text = bytes.TrimSuffix(text, []byte("\n"))
	}
	return text, err
}

// onePlace is for commands whose argument is an encrypted file or value.
func onePlace(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s takes one encrypted file, or FILE:LINE for an encrypted value in it", cmd.CommandPath())
	}
	return nil
}

// open returns the place that the user names, and the secret there.
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
		Short: "Edit an encrypted file or value",
		Long: `Edit opens a private copy in memory (on a tmpfs) with $VISUAL or $EDITOR, and encrypts the result for the recipients. The
copy is removed however the editor ends.`,
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
			fmt.Printf("%s is encrypted again\n", place)
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
		Short: "Encrypt all secrets again after the recipients have changed",
		Long: fmt.Sprintf(`Rekey decrypts every secret in the named files and directories, by default in the directory of %s, and encrypts it
for the recipients listed there now. A former recipient can still decrypt old copies, so change the secrets that they knew.`, secret.RecipientsFile),
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
	cmd.Flags().BoolVarP(&check, "check", "C", false, "list the files that hold secrets, and change nothing")
	return cmd
}
