package report

// Secrets also hide in base64 and hexadecimal digits. Text that can be decoded is decoded from each possible start, and
// secrets are searched for in the result, so that they are found at any position and however the digits are broken into
// lines.

// run is a part of a text that may consist of digits: the positions and values of these characters, without separators
// such as newlines.
type run struct {
	at     []int
	digits []byte
}

// noDigit marks a character that is not a digit.
const noDigit = 0xff

var (
	base64Digits = digits("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", "-_")
	hexDigits    = digits("0123456789abcdef", "ABCDEF")
)

// digits returns the table for an alphabet. more has alternatives for its last characters.
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

// base64Gap returns the length of the separator at the beginning of s, between two lines of base64: a newline, literal
// or as "\n", with white space around it, or the backslash in "\/". Zero means that the digits end here.
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

// hexGap returns the length of the separator between two digits: white space, and the marks of "de:ad", "%de%ad", "\xde\xad" and
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

// next fills the run from a position of s on, and returns the position after it.
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

// find reports where the automaton's texts occur in the decoded digits, which have the given number of bits each:
// decoded from the first digit on, from the second, and so on.
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
				// From the digit with the first bit to the digit with the last.
				last := (i-phase+1)*bits - held
				first := phase + (last-8*n)/bits
				tell(r.at[first], r.at[i]+1)
			}
		}
	}
}
