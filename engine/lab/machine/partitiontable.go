package machine

import (
	"fmt"
	"slices"
)

const (
	sectorSize = 512
	// gptFirst is the first sector that sfdisk uses for partitions in a GPT, and gptReserved the number of sectors at
	// the end that it does not use.
	gptFirst, gptReserved = 2048, 34
	linuxFilesystem       = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
)

// layOut places partitions without a start sector one after another, aligned to 1 MiB.
func (d *Disk) layOut() {
	at := int64(gptFirst)
	for i := range d.Partitions {
		p := &d.Partitions[i]
		if p.Start == 0 {
			p.Start = (at + gptFirst - 1) / gptFirst * gptFirst
		}
		at = max(at, p.Start+p.Size/sectorSize)
	}
}

// table returns all partitions of the table.
func (d *Disk) table() []Disk { return append(slices.Clone(d.Partitions), d.unread...) }

// read makes the kernel read the table.
func (d *Disk) read() { d.Partitions, d.unread = d.table(), nil }

// readTables makes the kernel read the tables of all disks, as it does when it boots.
func (m *Machine) readTables() {
	m.mu.Lock()
	for _, d := range m.disks {
		d.read()
	}
	m.mu.Unlock()
	m.linkDisks()
}

// refuses returns why a partition does not fit into the table, or "" if it does.
func (d *Disk) refuses(p Disk) string {
	last := p.Start + p.Size/sectorSize - 1
	for _, other := range d.table() {
		if p.Start < other.Start+other.Size/sectorSize && other.Start <= last {
			return fmt.Sprintf("Sector %d already used.\nFailed to add # partition: Numerical result out of range\n", max(p.Start, other.Start))
		}
	}
	if end := d.Size/sectorSize - gptReserved; last > end {
		return fmt.Sprintf("The last usable GPT sector is %d, but %d is requested.\nFailed to add # partition: Invalid argument\n", end, last)
	}
	return ""
}
