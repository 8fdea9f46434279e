package ceph

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/observe"
	"hlplay/engine/remote"
	"hlplay/modules/internal/pve"
)

// CrushTrial describes a comparison of the cluster's CRUSH map with another one.
type CrushTrial struct {
	// Map is the other map as text.
	Map string
	// Uses lists the rules and numbers of copies to try with both maps.
	Uses []CrushUse
	// Overrides holds the overrides of OSDs that are not 1, by number.
	Overrides map[int]float64
}

// CrushUse is the use of a rule by pools of one size.
type CrushUse struct {
	// Rule is the rule's ID.
	Rule, Size int
	// New is set if the cluster's map has no such rule.
	New bool
	// Ordered is set if the order of the OSDs matters, as it does for erasure-coded data.
	Ordered bool
}

// Name returns the name under which CrushTrials observes the answer.
func (t CrushTrial) Name() string {
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // texts and numbers can always be marshaled
	}
	return string(text)
}

// CrushResult answers a CrushTrial.
type CrushResult struct {
	// Version is the version of the cluster's map during the trial.
	Version int
	// Refusal is crushtool's message if it cannot compile the map. All other fields except Version are then empty.
	Refusal string
	// Compiled is the compiled map, as crushtool decompiles it.
	Compiled string
	// Moves holds the results by use.
	Moves map[CrushUse]CrushMove
}

// CrushMove compares where two maps place the copies of placement groups.
type CrushMove struct {
	// Moved is the share of copies that the other map places on different OSDs.
	Moved float64
	// Tried is the number of inputs. Before and After count the inputs for which the current and the other map find too few
	// OSDs.
	Tried, Before, After int
	// Fewer is by how many OSDs the other map finds fewer, summed over all inputs.
	Fewer int
}

// CrushTrials observes CrushResult by CrushTrial.Name. Nothing but a temporary directory is written.
var CrushTrials = &observe.Kind[CrushResult]{
	Name: "ceph-crushtrial", What: "what crushtool says about a CRUSH map",
	Shared: observe.Always,
	Ask: func(names []string) []remote.Query {
		var all []remote.Query
		for _, name := range names {
			all = append(all, askTrial(name))
		}
		return all
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, CrushResult, error)) {
		for i, name := range names {
			r, err := parseTrial(name, answers[i])
			tell(name, r, err)
		}
	},
}

// trialScript tries a map. Its arguments are Ceph's configuration, the map as text, the number of words for the overrides
// and these words, and three words for each use: "old" or "new", the first map that has the rule; the rule; and the
// number of copies.
//
// crushtool accepts --max-x only together with --min-x, and exits with 0 whatever it finds.
const trialScript = `_d=$(mktemp -d) || exit 1
trap 'rm -rf -- "$_d"' EXIT
cd "$_d" || exit 1
$limited ceph -c "$1" --connect-timeout 10 osd getcrushmap -o old 2>version || { cat version >&2; exit 1; }
echo "version $(tail -n 1 version)"
printf %s "$2" >text
$limited crushtool -c text -o new >refusal 2>&1
_c=$?
case $_c in 124 | 127 | 137) cat refusal >&2; exit $_c ;; esac # it was not asked, or did not get to answer
if [ $_c != 0 ] || ! [ -s new ]; then echo refused; cat refusal; exit 0; fi
echo compiled
$limited crushtool -d new || exit 1
_n=$3
shift 3
_w=
while [ "$_n" -gt 0 ]; do
	_w="$_w --weight $1 $2"
	_n=$((_n-2))
	shift 2
done
while [ $# -gt 0 ]; do
	for _m in old new; do
		[ "$1 $_m" = "new old" ] && continue
		echo "use $_m $2 $3"
		$limited crushtool -i "$_m" --test --show-mappings --rule "$2" --num-rep "$3" --min-x 0 --max-x 1023 $_w || exit 1
	done
	shift 3
done
echo done`

func askTrial(name string) remote.Query {
	var t CrushTrial
	if err := json.Unmarshal([]byte(name), &t); err != nil {
		panic(err) // the name is made by CrushTrial.Name
	}
	args := []string{pve.CephConfFile, t.Map, strconv.Itoa(2 * len(t.Overrides))}
	for _, id := range slices.Sorted(maps.Keys(t.Overrides)) {
		args = append(args, strconv.Itoa(id), strconv.FormatFloat(t.Overrides[id], 'f', -1, 64))
	}
	for _, u := range t.Uses {
		first := "old"
		if u.New {
			first = "new"
		}
		args = append(args, first, strconv.Itoa(u.Rule), strconv.Itoa(u.Size))
	}
	return remote.Query{Script: trialScript, Args: args, Limit: time.Minute}
}

func parseTrial(name string, a remote.Answer) (CrushResult, error) {
	r := CrushResult{Moves: map[CrushUse]CrushMove{}}
	var t CrushTrial
	if err := json.Unmarshal([]byte(name), &t); err != nil {
		return r, err
	}
	if a.Exit != 0 {
		return r, fmt.Errorf("trying the CRUSH map: %s: %s", remote.Ending(a.Exit), observe.LastLine(a.Stderr))
	}
	first, rest, _ := bytes.Cut(a.Stdout, []byte("\n"))
	version, ok := bytes.CutPrefix(first, []byte("version "))
	number, err := strconv.Atoi(string(version))
	if !ok || err != nil {
		return r, fmt.Errorf("ceph osd getcrushmap printed %q, expected the version of the map", first)
	}
	r.Version = number
	if refusal, refused := bytes.CutPrefix(rest, []byte("refused\n")); refused {
		if r.Refusal = strings.TrimSpace(string(refusal)); r.Refusal == "" {
			r.Refusal = "crushtool compiled nothing, and printed no error"
		}
		return r, nil
	}
	mappings := map[string][][]int{}
	var compiled strings.Builder
	use, ended := "", false
	for line := range strings.Lines(string(rest)) {
		line = strings.TrimSuffix(line, "\n")
		word, after, _ := strings.Cut(line, " ")
		switch {
		case use == "" && word != "use" && line != "done":
			if line != "compiled" {
				fmt.Fprintln(&compiled, line)
			}
		case word == "use":
			use = after
		case line == "done":
			ended = true
		default:
			osds, err := parseMapping(line)
			if err != nil {
				return r, err
			}
			mappings[use] = append(mappings[use], osds)
		}
	}
	if r.Compiled = compiled.String(); !ended {
		return r, errors.New("trying the CRUSH map: the answer is not complete")
	}
	for _, u := range t.Uses {
		key := fmt.Sprintf(" %d %d", u.Rule, u.Size)
		before, after := mappings["old"+key], mappings["new"+key]
		if len(after) == 0 || !u.New && len(before) != len(after) {
			return r, fmt.Errorf("crushtool --test of rule %d printed %d placements for the current map, and %d for the new one", u.Rule, len(before), len(after))
		}
		r.Moves[u] = compareMappings(before, after, u)
	}
	return r, nil
}

// noOSD is crushtool's placeholder for an OSD that a rule with indep does not find.
const noOSD = 2147483647

// parseMapping parses "CRUSH rule 1 x 0 [2,4,0,3,5]".
func parseMapping(line string) ([]int, error) {
	head, list, ok := strings.Cut(line, "[")
	list, closed := strings.CutSuffix(list, "]")
	if !ok || !closed || !strings.HasPrefix(head, "CRUSH rule ") {
		return nil, fmt.Errorf("crushtool --test says %q, which hlplay does not understand", line)
	}
	osds := []int{}
	for word := range strings.FieldsFuncSeq(list, func(r rune) bool { return r == ',' }) {
		id, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("crushtool --test says %q, which hlplay does not understand", line)
		}
		osds = append(osds, id)
	}
	return osds, nil
}

// compareMappings compares where two maps place placement groups. before is empty for a new rule.
func compareMappings(before, after [][]int, u CrushUse) CrushMove {
	m := CrushMove{Tried: len(after)}
	moved, copies := 0, 0
	for x, now := range after {
		if found(now) < u.Size {
			m.After++
		}
		if x >= len(before) {
			continue
		}
		if found(before[x]) < u.Size {
			m.Before++
		}
		m.Fewer += found(before[x]) - found(now)
		copies += u.Size
		for i, id := range now {
			at := slices.Index(before[x], id)
			if id != noOSD && (at < 0 || u.Ordered && at != i) {
				moved++
			}
		}
	}
	if copies > 0 {
		m.Moved = float64(moved) / float64(copies)
	}
	return m
}

// found counts the OSDs of a mapping.
func found(osds []int) int {
	n := 0
	for _, id := range osds {
		if id != noOSD {
			n++
		}
	}
	return n
}
