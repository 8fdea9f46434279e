package machine

import "fmt"

// mappedNumbers are the device numbers of logical volumes by name. A volume keeps its own as long as it is there, and a new one gets
// the first that is free, as the device mapper does it.
func (m *Machine) mappedNumbers(disks []*Disk) map[string]string {
	numbers := map[string]string{}
	taken := map[string]bool{}
	var fresh []string
	for _, d := range disks {
		for _, holder := range append([]Disk{*d}, d.Partitions...) {
			for _, v := range holder.Volumes {
				if number, known := m.mapped[v.Name]; known {
					numbers[v.Name] = number
					taken[number] = true
				} else {
					fresh = append(fresh, v.Name)
				}
			}
		}
	}
	for _, name := range fresh {
		for i := 0; numbers[name] == ""; i++ {
			if number := fmt.Sprintf("252:%d", i); !taken[number] {
				numbers[name] = number
				taken[number] = true
			}
		}
	}
	m.mapped = numbers
	return numbers
}
