package pve

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMappings(t *testing.T) {
	text := "gpu\n\tcomment first GPU\n\tmap id=10de:2204,iommugroup=14,node=pve1,path=0000:01:00\n\tmap id=10de:2204,node=pve2,path=0000:41:00\n\tmdev 0\n\nnone\n"
	got := map[string]Mapping{}
	if err := readMappings([]byte(text), "pci", got); err != nil {
		t.Fatal(err)
	}
	want := map[string]Mapping{
		"pci/gpu": {Options: map[string]string{"comment": "first GPU", "mdev": "0"}, Devices: []map[string]string{
			{"id": "10de:2204", "iommugroup": "14", "node": "pve1", "path": "0000:01:00"}, {"id": "10de:2204", "node": "pve2", "path": "0000:41:00"},
		}},
		"pci/none": {Options: map[string]string{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if err := readMappings([]byte("\tmap node=pve1\n"), "pci", got); err == nil {
		t.Error("a device that belongs to no mapping is read")
	}
}
