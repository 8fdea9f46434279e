package observe

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hlplay/engine/remote"
)

// sfdiskTable is what sfdisk 2.38.1 prints for a disk whose third partition is in front of its second.
const sfdiskTable = `{
   "partitiontable": {
      "label": "gpt",
      "id": "91398D19-1589-A940-9C41-1CB8643E9240",
      "device": "/dev/nvme0n1",
      "unit": "sectors",
      "firstlba": 34,
      "lastlba": 204766,
      "sectorsize": 512,
      "partitions": [
         {
            "node": "/dev/nvme0n1p1",
            "start": 2048,
            "size": 20480,
            "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            "uuid": "9407C5A0-A3D1-9541-A602-16BD5E73CB56",
            "name": "sys"
         },{
            "node": "/dev/nvme0n1p2",
            "start": 61440,
            "size": 20481,
            "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            "uuid": "FFDD9A24-310D-704F-B0D6-387A3FFE7B24"
         },{
            "node": "/dev/nvme0n1p3",
            "start": 22528,
            "size": 20480,
            "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4",
            "uuid": "11111111-2222-8333-8444-555555555555",
            "name": "osd-a"
         }
      ]
   }
}
`

func TestPartitionTable(t *testing.T) {
	values, errs := told(t, PartitionTables, []string{"/dev/nvme0n1", "/dev/sdb", "/dev/sdc", "/dev/sdd", "/dev/sde"}, []remote.Answer{
		{Stdout: []byte(sfdiskTable)},
		{Exit: 1, Stderr: []byte("sfdisk: /dev/sdb: does not contain a recognized partition table\n")},
		{Exit: 1, Stderr: []byte("sfdisk: cannot open /dev/sdc: Permission denied\n")},
		{Exit: 127, Stderr: []byte("env: 'sfdisk': No such file or directory\n")},
		{Stdout: []byte(`{"partitiontable": {}}`)},
	})
	table := values["/dev/nvme0n1"]
	if err := errs["/dev/nvme0n1"]; err != nil || len(table.Partitions) != 3 || table.Partitions[2].Number != 3 || table.Partitions[2].Name != "osd-a" {
		t.Fatalf("the table is %+v, error %v", table, err)
	}
	if diff := cmp.Diff([]Partition{{Start: 43008, Size: 18432}, {Start: 83968, Size: 120832 - 2048}}, table.Free()); diff != "" {
		t.Errorf("the free space is wrong (-want +got):\n%s", diff)
	}
	if n := table.Next(); n != 4 {
		t.Errorf("the next partition has number %d, want 4", n)
	}
	table.Partitions = table.Partitions[1:]
	if n := table.Next(); n != 1 {
		t.Errorf("with 1 free, the next partition has number %d", n)
	}
	if err := errs["/dev/sdb"]; err != nil || values["/dev/sdb"].Label != "" {
		t.Errorf("a disk without a table: %+v, error %v", values["/dev/sdb"], err)
	}
	for disk, want := range map[string]string{
		"/dev/sdc": "sfdisk: exit code 1: sfdisk: cannot open /dev/sdc: Permission denied",
		"/dev/sdd": "sfdisk is needed to read partition tables: install the package fdisk first",
		"/dev/sde": `sfdisk tells no partition table of /dev/sde: label "", sectors of 0 bytes`,
	} {
		if err := errs[disk]; err == nil || err.Error() != want {
			t.Errorf("%s: error %v, want %s", disk, err, want)
		}
	}
}

func TestFreeSpaceOfOddTables(t *testing.T) {
	for name, table := range map[string]PartitionTable{
		"another label":       {Label: "dos", SectorSize: 512, Last: 1 << 20},
		"full":                {Label: "gpt", SectorSize: 512, First: 34, Last: 4095 + 2048, Partitions: []Partition{{Number: 1, Start: 2048, Size: 4096}}},
		"beyond the disk":     {Label: "gpt", SectorSize: 512, First: 34, Last: 4095, Partitions: []Partition{{Number: 1, Start: 2048, Size: 1 << 20}}},
		"less than alignment": {Label: "gpt", SectorSize: 4096, First: 6, Last: 300, Partitions: []Partition{{Number: 1, Start: 256, Size: 20}}},
	} {
		if free := table.Free(); len(free) != 0 {
			t.Errorf("%s: free space %+v, want none", name, free)
		}
	}
}

func FuzzPartitionTable(f *testing.F) {
	f.Add([]byte(sfdiskTable))
	f.Add([]byte(`{"partitiontable": {"label": "gpt", "sectorsize": 512, "lastlba": 9000, "partitions": [{"node": "e9"}]}}`))
	f.Fuzz(func(t *testing.T, out []byte) {
		table, err := parsePartitionTable("/dev/sda", remote.Answer{Stdout: out})
		if err != nil {
			return
		}
		table.Next()
		for _, free := range table.Free() {
			if free.Size <= 0 || free.Start < table.First {
				t.Errorf("free space %+v in %+v", free, table)
			}
		}
	})
}
