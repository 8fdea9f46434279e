package observe

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hlplay/engine/remote"
)

// PartitionTable is the partition table of a disk. All positions and sizes of partitions are in sectors.
type PartitionTable struct {
	// Label is "gpt" or "dos", or empty if there is no table.
	Label string
	// SectorSize is in bytes.
	SectorSize int64
	// First and Last are the first and last sectors that partitions may use; zero if the table does not say.
	First, Last int64
	// Partitions are sorted by number.
	Partitions []Partition
}

// Partition is an entry of a partition table. Name is empty if the table has no names.
type Partition struct {
	Number           int
	Start, Size      int64
	Type, UUID, Name string
}

// alignment is the alignment of partitions in bytes, a multiple of all common erase block and stripe sizes.
const alignment = 1 << 20

// Sectors converts bytes to sectors, rounded down to the alignment of partitions.
func (t PartitionTable) Sectors(bytes int64) int64 {
	return bytes / alignment * (alignment / t.SectorSize)
}

// Free returns the free areas of a GPT, aligned and in their order on the disk, as partitions without a number.
func (t PartitionTable) Free() []Partition {
	if t.Label != "gpt" || t.SectorSize <= 0 {
		return nil
	}
	taken := slices.Clone(t.Partitions)
	slices.SortFunc(taken, func(a, b Partition) int { return int(min(max(a.Start-b.Start, -1), 1)) })
	step := alignment / t.SectorSize
	var free []Partition
	at := t.First
	for _, p := range append(taken, Partition{Start: t.Last + 1}) {
		start := (at + step - 1) / step * step
		if size := (p.Start - start) / step * step; size > 0 {
			free = append(free, Partition{Start: start, Size: size})
		}
		at = max(at, p.Start+p.Size)
	}
	return free
}

// Next returns the number of the next new partition, which is the lowest unused one.
func (t PartitionTable) Next() int {
	for n := 1; ; n++ {
		if !slices.ContainsFunc(t.Partitions, func(p Partition) bool { return p.Number == n }) {
			return n
		}
	}
}

// PartitionTables observes partition tables by disk path. It uses sfdisk(8).
var PartitionTables = &Kind[PartitionTable]{
	Name: "partition-table", What: "the partition table of %s",
	Ask: func(names []string) []remote.Query {
		var queries []remote.Query
		for _, name := range names {
			queries = append(queries, remote.Argv(time.Minute, "env", "LC_ALL=C", "sfdisk", "--json", name))
		}
		return queries
	},
	Parse: func(names []string, answers []remote.Answer, tell func(string, PartitionTable, error)) {
		for i, name := range names {
			table, err := parsePartitionTable(name, answers[i])
			tell(name, table, err)
		}
	},
}

func parsePartitionTable(disk string, a remote.Answer) (PartitionTable, error) {
	switch {
	case a.Exit == 127:
		return PartitionTable{}, errors.New("sfdisk is needed to read partition tables: install the package fdisk first")
	case a.Exit == 1 && strings.Contains(string(a.Stderr), "does not contain a recognized partition table"):
		return PartitionTable{}, nil
	case a.Exit != 0:
		return PartitionTable{}, fmt.Errorf("sfdisk: %s: %s", remote.Ending(a.Exit), LastLine(a.Stderr))
	}
	var printed struct {
		Table struct {
			Label      string `json:"label"`
			First      int64  `json:"firstlba"`
			Last       int64  `json:"lastlba"`
			SectorSize int64  `json:"sectorsize"`
			Partitions []struct {
				Node  string `json:"node"`
				Start int64  `json:"start"`
				Size  int64  `json:"size"`
				Type  string `json:"type"`
				UUID  string `json:"uuid"`
				Name  string `json:"name"`
			} `json:"partitions"`
		} `json:"partitiontable"`
	}
	if err := json.Unmarshal(a.Stdout, &printed); err != nil {
		return PartitionTable{}, fmt.Errorf("sfdisk printed what is not its JSON: %w", err)
	}
	t := PartitionTable{Label: printed.Table.Label, SectorSize: printed.Table.SectorSize, First: printed.Table.First, Last: printed.Table.Last}
	if t.Label == "" || t.SectorSize <= 0 || t.SectorSize > alignment {
		return PartitionTable{}, fmt.Errorf("sfdisk tells no partition table of %s: label %q, sectors of %d bytes", disk, t.Label, t.SectorSize)
	}
	for _, p := range printed.Table.Partitions {
		digits := p.Node[len(strings.TrimRight(p.Node, "0123456789")):]
		number, err := strconv.Atoi(digits)
		if err != nil {
			return PartitionTable{}, fmt.Errorf("sfdisk tells no number of the partition %q", p.Node)
		}
		t.Partitions = append(t.Partitions, Partition{Number: number, Start: p.Start, Size: p.Size, Type: p.Type, UUID: p.UUID, Name: p.Name})
	}
	slices.SortFunc(t.Partitions, func(a, b Partition) int { return a.Number - b.Number })
	return t, nil
}
