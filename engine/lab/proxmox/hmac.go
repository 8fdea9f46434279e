package proxmox

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
)

// hmacSHA1 computes the hash of host names in known_hosts, as OpenSSH does.
func hmacSHA1(key []byte, text string) string {
	mac := hmac.New(sha1.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}
