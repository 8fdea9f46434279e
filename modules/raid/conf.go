package raid

import (
	"fmt"
	"slices"
	"strings"
)

// confFile tells mdadm(8) and the initramfs the names of arrays, and whom to notify of a failed disk: mdadm.conf(5).
const confFile = "/etc/mdadm/mdadm.conf"

// listed returns the text of mdadm.conf with the array listed under its name and UUID, and with the mail address if there is
// one. Everything else is kept.
func listed(text, name, uuid, mail string) string {
	line := fmt.Sprintf("ARRAY %s UUID=%s\n", device(name), mdForm(uuid))
	text = edit(text, line, "array", func(words []string) (ours, right bool) {
		named, id := isNamed(words, name), identity(words)
		return named || id == mdForm(uuid), named && id == mdForm(uuid)
	})
	if mail != "" {
		text = edit(text, "MAILADDR "+mail+"\n", "mailaddr", func(words []string) (ours, right bool) { return true, first(words) == mail })
	}
	return text
}

// isNamed reports whether an ARRAY line, without its keyword, describes the array of that name.
func isNamed(words []string, name string) bool {
	return slices.Contains([]string{device(name), name}, first(words))
}

// identity returns the UUID in an ARRAY line in mdadm's notation, or "".
func identity(words []string) (id string) {
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok && strings.EqualFold(key, "uuid") {
			id = mdForm(value)
		}
	}
	return id
}

// listedUUID returns the UUID that mdadm.conf gives the array of that name in lsblk's notation, or "".
func listedUUID(text, name string) (id string) {
	for _, statement := range statements(text) {
		words := strings.Fields(statement)
		if isKeyword(first(words), "array") && isNamed(words[1:], name) {
			id = strings.ReplaceAll(identity(words[1:]), ":", "")
		}
	}
	if len(id) != 32 {
		return ""
	}
	return id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// edit replaces our lines with that keyword by a new one, unless one of them is right. If there are none, it appends the
// line.
func edit(text, line, keyword string, look func(words []string) (ours, right bool)) string {
	var out strings.Builder
	done := false
	for _, old := range statements(text) {
		words := strings.Fields(old)
		if !isKeyword(first(words), keyword) {
			out.WriteString(old)
			continue
		}
		switch ours, right := look(words[1:]); {
		case !ours:
			out.WriteString(old)
		case done: // a duplicate
		case right:
			out.WriteString(old)
			done = true
		default:
			out.WriteString(line)
			done = true
		}
	}
	if !done {
		if s := out.String(); s != "" && !strings.HasSuffix(s, "\n") {
			out.WriteString("\n")
		}
		out.WriteString(line)
	}
	return out.String()
}

// statements splits mdadm.conf into lines, each with its continuation lines, which begin with a blank.
func statements(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		continues := strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")
		if continues && strings.TrimSpace(line) != "" && len(all) > 0 && isStatement(all[len(all)-1]) {
			all[len(all)-1] += line
		} else {
			all = append(all, line)
		}
	}
	return all
}

func isStatement(text string) bool {
	text = strings.TrimSpace(text)
	return text != "" && !strings.HasPrefix(text, "#")
}

// isKeyword reports whether a word is the keyword. Three letters of it are enough, in either case.
func isKeyword(word, keyword string) bool {
	return len(word) >= 3 && strings.HasPrefix(keyword, strings.ToLower(word))
}

func first(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// mdForm returns a UUID in mdadm's notation: four groups of eight digits.
func mdForm(uuid string) string {
	digits := strings.ToLower(strings.NewReplacer("-", "", ":", "").Replace(uuid))
	if len(digits) != 32 {
		return uuid
	}
	return digits[:8] + ":" + digits[8:16] + ":" + digits[16:24] + ":" + digits[24:]
}
