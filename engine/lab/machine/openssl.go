package machine

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
)

// openssl implements version, and x509 -noout with -fingerprint and -subject.
func openssl(_ context.Context, c *Call) int {
	args := c.Argv[1:]
	if len(args) == 0 {
		return notSimulated(c, "no command")
	}
	switch args[0] {
	case "version":
		c.printf("OpenSSL 3.0.17 1 Jul 2025 (Library: OpenSSL 3.0.17 1 Jul 2025)\n")
		return 0
	case "x509":
	default:
		return notSimulated(c, args[0])
	}
	file, digest, wantPrint, wantSubject := "-", "sha1", false, false
	for i := 1; i < len(args); i++ {
		switch args[i] {
		case "-in":
			if i++; i >= len(args) {
				return c.Errorf("x509: Option -in needs a value")
			}
			file = args[i]
		case "-noout":
		case "-fingerprint":
			wantPrint = true
		case "-subject":
			wantSubject = true
		case "-sha256", "-sha1":
			digest = args[i][1:]
		default:
			return notSimulated(c, args[i])
		}
	}
	f, err := c.input(file)
	if err != nil {
		fmt.Fprintf(c.Stderr, "Could not open file or uri for loading certificate from %s: %s\nUnable to load certificate\n", file, errText(err))
		return 1
	}
	content, err := io.ReadAll(f)
	_ = f.Close() // opened for reading only
	block, _ := pem.Decode(content)
	if err != nil || block == nil {
		fmt.Fprintf(c.Stderr, "Could not find certificate from %s\nUnable to load certificate\n", file)
		return 1
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		fmt.Fprintf(c.Stderr, "Could not read certificate from %s: %v\n", file, err)
		return 1
	}
	if wantSubject {
		c.printf("subject=%s\n", cert.Subject)
	}
	if wantPrint {
		var sum []byte
		if digest == "sha256" {
			s := sha256.Sum256(block.Bytes)
			sum = s[:]
		} else {
			s := sha1.Sum(block.Bytes)
			sum = s[:]
		}
		var pairs []string
		for _, b := range sum {
			pairs = append(pairs, fmt.Sprintf("%02X", b))
		}
		c.printf("%s Fingerprint=%s\n", digest, strings.Join(pairs, ":"))
	}
	return 0
}
