package throughput

import (
	"fmt"
	"regexp"
	"strconv"

	"hlplay/engine/observe"
)

// sumPattern matches the line of iperf3 -f m that reports what the receiver got: the sum of all streams, or the only stream.
var sumPattern = regexp.MustCompile(`(?m)^\[ *(SUM|\d+)\] .* ([0-9.]+) Mbits/sec +receiver *$`)

// received returns what the receiver got, in Mbit/s.
func received(stdout []byte) (float64, error) {
	all := sumPattern.FindAllSubmatch(stdout, -1)
	for _, line := range all {
		if string(line[1]) == "SUM" || len(all) == 1 {
			return strconv.ParseFloat(string(line[2]), 64)
		}
	}
	return 0, fmt.Errorf("iperf3 does not report what the receiver got: its last line is %q", observe.LastLine(stdout))
}
