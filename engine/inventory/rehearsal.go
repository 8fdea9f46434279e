package inventory

import (
	"maps"
	"math/big"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"hlplay/engine/pattern"
)

// rehearsalSettings are the settings of one `rehearsal` block. A nil field is not set.
type rehearsalSettings struct {
	debian    *string
	addresses *[]string
	guests    map[string]string
	usb       map[string]string
	loader    *string
	iommu     *bool
	pci       []PCIDevice
	renames   []Rename
	disks     []Disk
	packages  []Package
	downloads []Download
}

// apply overrides the settings of a rehearsal: attribute by attribute, but disks, PCI devices, renames, packages and
// downloads as a whole.
func (s *rehearsalSettings) apply(r *Rehearsal) {
	set(&r.Debian, s.debian)
	if s.addresses != nil {
		r.Addresses = append([]string(nil), *s.addresses...)
	}
	if s.guests != nil {
		r.Guests = nil
		if len(s.guests) > 0 {
			r.Guests = maps.Clone(s.guests)
		}
	}
	if s.usb != nil {
		r.USB = nil
		if len(s.usb) > 0 {
			r.USB = maps.Clone(s.usb)
		}
	}
	if s.loader != nil {
		r.BootLoader = *s.loader
		if r.BootLoader == bootLoaders[0] {
			r.BootLoader = ""
		}
	}
	set(&r.IOMMU, s.iommu)
	if s.pci != nil {
		r.PCI = append([]PCIDevice(nil), s.pci...)
	}
	if s.renames != nil {
		r.Renames = append([]Rename(nil), s.renames...)
	}
	if s.disks != nil {
		r.Disks = append([]Disk(nil), s.disks...)
	}
	if s.packages != nil {
		r.Packages = append([]Package(nil), s.packages...)
	}
	if s.downloads != nil {
		r.Downloads = append([]Download(nil), s.downloads...)
	}
}

// SystemDisk is the system disk of a simulated node.
const SystemDisk = "sda"

var rehearsalNames = []string{"debian", "addresses", "guests", "boot_loader", "iommu", "usb"}

// bootLoaders are the boot loaders of simulated nodes, the default first.
var bootLoaders = []string{"grub", "systemd-boot", "boot-tool-grub", "kernel-install"}

// debianReleases are the accepted code names.
var debianReleases = []string{"bullseye", "bookworm", "trixie", "forky", "sid"}

func (d *decoder) rehearsal(block *hclsyntax.Block) rehearsalSettings {
	var s rehearsalSettings
	if len(block.Labels) != 0 {
		d.errorf(block.DefRange(), "Unexpected name", "A rehearsal block has no name: it belongs to the block that contains it.")
	}
	for _, attr := range attributes(block.Body) {
		switch attr.Name {
		case "debian":
			s.debian = d.oneOf(attr, debianReleases...)
		case "addresses":
			s.addresses = d.prefixes(attr)
		case "guests":
			s.guests = d.guests(attr)
		case "boot_loader":
			s.loader = d.oneOf(attr, bootLoaders...)
		case "iommu":
			s.iommu = d.bool(attr)
		case "usb":
			s.usb = d.usb(attr)
		default:
			d.unknownAttribute(attr, "A rehearsal block", rehearsalNames)
		}
	}
	seen := map[string]bool{}
	for _, inner := range block.Body.Blocks {
		switch inner.Type {
		case "package":
			if p, ok := d.declaredPackage(inner, s.packages); ok {
				s.packages = append(s.packages, p)
			}
		case "download":
			if dl, ok := d.download(inner, s.downloads); ok {
				s.downloads = append(s.downloads, dl)
			}
		case "pci":
			if p, ok := d.pci(inner, s.pci); ok {
				s.pci = append(s.pci, p)
			}
		case "rename":
			if r, ok := d.rename(inner, s.renames); ok {
				s.renames = append(s.renames, r)
			}
		case "disk":
			disk, ok := d.disk(inner)
			switch {
			case !ok:
			case disk.Name == SystemDisk:
				d.errorf(inner.DefRange(), "Invalid disk", "%s is the system disk of every simulated node; disk blocks declare additional disks, such as \"sdb\".", SystemDisk)
			case seen[disk.Name]:
				d.errorf(inner.DefRange(), "Duplicate disk", "This rehearsal block already has a disk %q.", disk.Name)
			default:
				seen[disk.Name] = true
				s.disks = append(s.disks, disk)
			}
		default:
			d.unknownBlock(inner, "A rehearsal block", []string{"disk", "download", "package", "pci", "rename"})
		}
	}
	return s
}

func (d *decoder) prefixes(attr *hclsyntax.Attribute) *[]string {
	list := d.strings(attr)
	if list == nil {
		return nil
	}
	for i, s := range *list {
		if _, err := netip.ParsePrefix(s); err != nil {
			d.errorf(elementRange(attr.Expr, i), "Invalid address", "%q is not an address with a prefix length, such as \"10.10.10.11/24\".", s)
			return nil
		}
	}
	return list
}

// guestID matches the ids of guests: 100 to 999999999.
var guestID = pattern.New(`^[1-9][0-9]{2,8}$`)

func (d *decoder) guests(attr *hclsyntax.Attribute) map[string]string {
	value, ok := d.value(attr)
	if !ok {
		return nil
	}
	if !value.Type().IsObjectType() {
		d.wrongType(attr, "an object of guest ids, such as { \"100\" = \"vm\" }", value)
		return nil
	}
	guests := map[string]string{}
	for id, kind := range value.AsValueMap() {
		if !guestID.MatchString(id) {
			d.errorf(attr.Expr.Range(), "Invalid guest", "%q is not the id of a guest, a number from 100 to 999999999.", id)
			return nil
		}
		if kind.IsNull() || kind.Type() != cty.String || (kind.AsString() != "vm" && kind.AsString() != "ct") {
			d.errorf(attr.Expr.Range(), "Invalid guest", "Guest %s must be \"vm\" or \"ct\".", id)
			return nil
		}
		guests[id] = kind.AsString()
	}
	return guests
}

var diskNames = []string{"size", "serial", "model", "rotational", "use", "partitions"}

// diskName matches the kernel's names of disks, without /dev/.
var diskName = pattern.New(`^[a-z][a-z0-9]{1,30}$`)

func (d *decoder) disk(block *hclsyntax.Block) (Disk, bool) {
	name, ok := d.label(block, "disk")
	if !ok {
		return Disk{}, false
	}
	if !diskName.MatchString(name) {
		d.errorf(block.LabelRanges[0], "Invalid disk", "%q is not the kernel's name of a disk, such as \"sdb\" or \"nvme0n1\".", name)
		return Disk{}, false
	}
	disk := Disk{Name: name}
	for _, attr := range attributes(block.Body) {
		switch attr.Name {
		case "size":
			disk.Size = d.size(attr)
		case "serial":
			set(&disk.Serial, d.string(attr))
		case "model":
			set(&disk.Model, d.string(attr))
		case "rotational":
			set(&disk.Rotational, d.bool(attr))
		case "use":
			set(&disk.Use, d.string(attr))
		case "partitions":
			disk.Partitions = d.sizes(attr)
		default:
			d.unknownAttribute(attr, "A disk block", diskNames)
		}
	}
	for _, inner := range block.Body.Blocks {
		d.unknownBlock(inner, "A disk block", nil)
	}
	return disk, true
}

func (d *decoder) sizes(attr *hclsyntax.Attribute) []int64 {
	list := d.strings(attr)
	if list == nil {
		return nil
	}
	var sizes []int64
	for i, s := range *list {
		size := parseSize(s)
		if size <= 0 {
			d.errorf(elementRange(attr.Expr, i), "Invalid size", "%q is not a size such as \"1TB\" or \"512GiB\".", s)
			return nil
		}
		sizes = append(sizes, size)
	}
	return sizes
}

func (d *decoder) size(attr *hclsyntax.Attribute) int64 {
	value, ok := d.value(attr)
	if !ok {
		return 0
	}
	var size int64
	switch value.Type() {
	case cty.Number:
		f := value.AsBigFloat()
		n, accuracy := f.Int64()
		if accuracy == big.Exact {
			size = n
		}
	case cty.String:
		size = parseSize(value.AsString())
	}
	if size <= 0 {
		d.errorf(attr.Expr.Range(), "Invalid size", "size must be a number of bytes, or a number with a unit: \"1TB\", \"1.92TB\", \"512GiB\".")
	}
	return size
}

// units are powers of 1000, in which disks are sold, and powers of 1024.
var units = []struct {
	name  string
	bytes int64
}{
	{"PiB", 1 << 50}, {"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"PB", 1e15}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3},
	{"B", 1},
}

var sizeForm = pattern.New(`^([0-9]{1,19}(?:\.[0-9]{1,9})?) ?([A-Za-z]*)$`)

// parseSize parses a size such as "1TB". It returns 0 if the text is not a size of at least one byte.
func parseSize(s string) int64 {
	parts := sizeForm.FindStringSubmatch(s)
	if parts == nil {
		return 0
	}
	number, ok := new(big.Rat).SetString(parts[1])
	if !ok {
		return 0
	}
	for _, unit := range units {
		if strings.EqualFold(unit.name, parts[2]) || parts[2] == "" && unit.name == "B" {
			number.Mul(number, new(big.Rat).SetInt64(unit.bytes))
			if !number.IsInt() || !number.Num().IsInt64() {
				return 0
			}
			return number.Num().Int64()
		}
	}
	return 0
}

// formatSize is the inverse of parseSize. It uses the largest unit that gives an integer.
func formatSize(size int64) string {
	best := units[len(units)-1]
	for _, unit := range units {
		if size%unit.bytes == 0 && unit.bytes > best.bytes {
			best = unit
		}
	}
	return strconv.FormatInt(size/best.bytes, 10) + best.name
}
