package capture

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

func TestEachFileOfARotationCountsWhatCameInItsOwnTime(t *testing.T) {
	total, closed := Counts{}, false
	path := filepath.Join(t.TempDir(), "a.b.pcapng")
	f, err := CreateFiles(path, Info{Iface: "eth7"}, Rotation{Every: time.Minute}, t0, func() Counts {
		if closed {
			return Counts{Received: total.Received} // a source that was closed knows less
		}
		return total
	})
	if err != nil {
		t.Fatal(err)
	}
	for minute := range 3 {
		now := t0.Add(time.Duration(minute) * time.Minute)
		if err := f.Advance(now); err != nil {
			t.Fatal(err)
		}
		if err := f.Write(now, sample(1, 100), 100, 0, Merged{}); err != nil {
			t.Fatal(err)
		}
		total = Counts{Received: total.Received + 10, Kernel: total.Kernel + 1, Xrx: total.Xrx + 2, Output: total.Output + 4}
	}
	closed = true
	if err := f.Close(t0.Add(3 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	if len(f.Names()) != 3 || !strings.HasSuffix(f.Names()[1], "a.b_00002_"+t0.Add(time.Minute).Format("20060102150405")+".pcapng") {
		t.Errorf("names %v", f.Names())
	}
	for i, name := range f.Names() {
		var s pcapgo.NgInterfaceStatistics
		in, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := pcapgo.NewNgReader(bytes.NewReader(in), pcapgo.NgReaderOptions{StatisticsCallback: func(_ int, found pcapgo.NgInterfaceStatistics) { s = found }})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, _, err = r.ReadPacketData()
		}
		from := t0.Add(time.Duration(i) * time.Minute)
		want := [2]uint64{11, 7}
		if i == 2 {
			want = [2]uint64{10, 0} // what the closed source forgot is not taken back from the files before
		}
		if got := [2]uint64{s.PacketsReceived, s.PacketsDropped}; got != want || !s.StartTime.Equal(from) || !s.EndTime.Equal(from.Add(time.Minute)) {
			t.Errorf("file %d: %+v, want %v", i, s, want)
		}
	}
}

func TestAFileIsNeverLongerThanAsked(t *testing.T) {
	dir := t.TempDir()
	f, err := CreateFiles(filepath.Join(dir, "x.pcapng"), Info{Iface: "eth7", Comment: "a test"}, Rotation{Size: MinSize}, t0, func() Counts {
		return Counts{1 << 62, 1 << 61, 1 << 61, 1 << 61} // the longest comment
	})
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for i := range 300 {
		b, m := sample(i, 60+i*7), Merged{}
		if i%3 == 0 {
			m = Merged{65535, 65535}
		}
		want = append(want, b)
		if err := f.Write(t0, b, len(b), i, m); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(t0); err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	longest := int64(0)
	for _, name := range f.Names() {
		in, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		packets, err := read(in)
		if err != nil || len(packets) == 0 {
			t.Errorf("%s: %d packets, %v", name, len(packets), err)
		}
		longest = max(longest, int64(len(in)))
		for _, p := range packets {
			got = append(got, p.Data)
		}
	}
	if longest > MinSize || longest < MinSize*3/4 || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d packets in %d files of up to %d bytes", len(got), len(f.Names()), longest)
	}
}

func TestAnEarlierCaptureIsNotOverwrittenByARotation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.pcapng")
	for want := range 3 {
		f, err := CreateFiles(path, Info{}, Rotation{Size: MinSize}, t0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(t0); err != nil || !strings.Contains(f.Names()[0], []string{"x_00001_", "x_00002_", "x_00003_"}[want]) {
			t.Errorf("%v, %v", f.Names(), err)
		}
	}
}
