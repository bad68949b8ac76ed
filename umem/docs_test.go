package umem

import (
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// tableRow is "| offset | size | `field` |" in docs/FRAMES.md.
var tableRow = regexp.MustCompile("(?m)^\\| (\\d+) \\| (\\d+) \\| `?(\\w+)`? \\|")

// framesSection returns one section of docs/FRAMES.md.
func framesSection(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/FRAMES.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+title+"\n")
	if !ok {
		t.Fatalf("docs/FRAMES.md has no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}

func TestTheHeaderTableOfTheDocumentsIsTheHeader(t *testing.T) {
	rows := tableRow.FindAllStringSubmatch(framesSection(t, "The hidden header"), -1)
	typ := reflect.TypeFor[Header]()
	at := 0
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Name == "_" {
			continue
		}
		if at == len(rows) {
			t.Fatalf("the table ends before %s", f.Name)
		}
		offset, size, name := rows[at][1], rows[at][2], rows[at][3]
		if name != f.Name || offset != strconv.Itoa(int(f.Offset)) || size != strconv.Itoa(int(f.Type.Size())) {
			t.Errorf("the table says %s at %s with %s bytes, the header has %s at %d with %d", name, offset, size, f.Name, f.Offset, f.Type.Size())
		}
		at++
	}
	if at != len(rows) {
		t.Errorf("the table has %d rows more than the header has fields", len(rows)-at)
	}
}

// Each field of the metadata is written where the table says, and must be the only one that Meta then reads.
func TestTheMetadataTableOfTheDocumentsIsWhatMetaReads(t *testing.T) {
	rows := tableRow.FindAllStringSubmatch(framesSection(t, "The metadata of the XDP program"), -1)
	if len(rows) != 9 {
		t.Fatalf("%d rows, want 9", len(rows))
	}
	u, pools := region(t, Config{Frames: 1}, 1)
	h := take(t, pools[0], 1)[0]
	end := 0
	for _, row := range rows {
		offset, _ := strconv.Atoi(row[1])
		size, _ := strconv.Atoi(row[2])
		if offset != end {
			t.Errorf("%s is at %d, the row before ends at %d", row[3], offset, end)
		}
		end = offset + size
		b := h.Before(metaLen2)
		clear(b)
		b[metaLen2-1] = metaKind2
		if row[3] == "tag" {
			if h.Meta(u.PacketOffset()).Kind != 2 || offset != metaLen2-1 || size != 1 {
				t.Errorf("the tag is not at %d", offset)
			}
			continue
		}
		for i := range size {
			b[offset+i] = 0xff
		}
		m := reflect.ValueOf(h.Meta(u.PacketOffset()))
		for i := range m.NumField() {
			name, v := m.Type().Field(i).Name, m.Field(i).Uint()
			switch {
			case name == "Kind":
			case name == row[3]:
				if want := uint64(1)<<(8*size) - 1; v != want {
					t.Errorf("%s is %#x after writing %d bytes at %d, want %#x", name, v, size, offset, want)
				}
			case v != 0:
				t.Errorf("writing %s changed %s", row[3], name)
			}
		}
	}
	if end != metaLen2 {
		t.Errorf("the table ends at %d, the metadata at %d", end, metaLen2)
	}
}
