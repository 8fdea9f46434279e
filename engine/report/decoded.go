package report

// Beyond the forms that are looked for as they are, secrets hide in base64 and hexadecimal digits. What can be read as
// such is read, from each place where it may have begun, and the secrets are looked for in what it stands for: so they are
// found wherever they stand in it and however it is broken into lines.

// run is a part of a text that may be read as digits: the places of the characters and what they stand for. What is
// between them, such as the end of a line, does not count.
type run struct {
	at     []int
	digits []byte
}

// noDigit is a character that stands for nothing.
const noDigit = 0xff

var (
	base64Digits = digits("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_")
	hexDigits    = digits("0123456789abcdef", "ABCDEF")
)

// digits is a table of an alphabet; more is another way to write its last characters.
func digits(alphabet, more string) *[256]byte {
	var table [256]byte
	for i := range table {
		table[i] = noDigit
	}
	for i := range len(alphabet) {
		table[alphabet[i]] = byte(i)
	}
	for i := range len(more) {
		table[more[i]] = byte(len(alphabet) - len(more) + i)
	}
	return &table
}

// base64Gap is the length of what stands between two lines of base64, at the beginning of s: the end of a line, as it
// is or as "\n", and white space around it; and the backslash in "\/". Zero is the end of the digits.
func base64Gap(s string) int {
	i, ended := 0, false
	for i < len(s) {
		switch c := s[i]; {
		case c == '\n' || c == '\r':
			ended = true
			i++
		case c == ' ' || c == '\t':
			i++
		case c == '\\' && i+1 < len(s) && (s[i+1] == 'n' || s[i+1] == 'r'):
			ended = true
			i += 2
		case c == '\\' && i == 0 && len(s) > 1 && s[1] == '/':
			return 1
		default:
			if !ended {
				return 0
			}
			return i
		}
	}
	return 0
}

// hexGap is the length of what stands between two digits: white space, and the marks of "de:ad", "%de%ad", "\xde\xad",
// "0xde, 0xad".
func hexGap(s string) int {
	i := 0
	for ; i < len(s); i++ {
		switch s[i] {
		case ' ', '\t', '\n', '\r', ':', '-', ',', '%', '\\', 'x':
			continue
		case '0':
			if i+1 < len(s) && s[i+1] == 'x' {
				continue
			}
		}
		break
	}
	if i == len(s) {
		return 0
	}
	return i
}

// next fills the run from s at a place on, and returns the place behind it.
func (r *run) next(s string, from int, table *[256]byte, gap func(string) int) int {
	r.at, r.digits = r.at[:0], r.digits[:0]
	for i := from; i < len(s); {
		if table == hexDigits && s[i] == '0' && i+1 < len(s) && s[i+1] == 'x' {
			i += 2
			continue
		}
		if d := table[s[i]]; d != noDigit {
			r.at, r.digits = append(r.at, i), append(r.digits, d)
			i++
			continue
		}
		if len(r.at) == 0 {
			i++
			continue
		}
		skip := gap(s[i:])
		if skip == 0 {
			return i
		}
		i += skip
	}
	return len(s)
}

// find tells where the texts of the automaton are in what the digits stand for, each of so many bits, read from the
// first digit on, from the second, and so on.
func (r *run) find(a *automaton, bits int, tell func(from, to int)) {
	phases := 8 / bits // hexadecimal: 2
	if bits == 6 {
		phases = 4
	}
	for phase := range phases {
		state, held, value := int32(0), 0, uint32(0)
		for i := phase; i < len(r.digits); i++ {
			value = value<<bits | uint32(r.digits[i])
			if held += bits; held < 8 {
				continue
			}
			held -= 8
			if state = a.next(state, byte(value>>held)); state == 0 {
				continue
			}
			if n := int(a.nodes[state].found); n > 0 {
				// The digits from the one that has the first bit to the one that has the last.
				last := (i-phase+1)*bits - held
				first := phase + (last-8*n)/bits
				tell(r.at[first], r.at[i]+1)
			}
		}
	}
}
