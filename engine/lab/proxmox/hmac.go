package proxmox

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
)

// hmacSHA1 is how OpenSSH hashes host names in known_hosts.
func hmacSHA1(key []byte, text string) string {
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
