package tune

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"xrx/internal/testnet"
)

// crash is what the fake panics with in place of a kill -9.
type crash struct{}

// world is an interface and a disk, and the moment at which the process dies.
type world struct {
	values  map[string]string
	birth   map[string]string
	refuse  map[string]bool
	disk    []byte
	fuse    int // operations left to live; negative: for ever
	written map[string]bool
}

func (w *world) tick() {
	if w.fuse == 0 {
		panic(crash{})
	}
	w.fuse--
}

var (
	errRefused = errors.New("operation not supported")
	errNone    = errors.New("no such setting")
)

func (w *world) Get(key string) (string, error) {
	w.tick()
	v, ok := w.values[key]
	if !ok {
		return "", errNone
	}
	return v, nil
}

// Set is a driver with manners that drivers have: "usecs" is rounded to eights; switching "adaptive" chooses usecs anew;
// "channels" spreads "table" anew, unless somebody has set it.
func (w *world) Set(key, value string) error {
	w.tick()
	if w.refuse[key] && value != w.birth[key] { // what it was born with can always be had
		return errRefused
	}
	if _, ok := w.values[key]; !ok {
		return errNone
	}
	w.written[key] = true
	switch key {
	case "usecs":
		var n int
		fmt.Sscan(value, &n)
		value = fmt.Sprint(n / 8 * 8)
	case "adaptive":
		if value != w.values[key] {
			w.values["usecs"] = "64"
		}
	case "channels":
		if strings.HasPrefix(w.values["table"], "default") {
			w.values["table"] = "default" + value
		}
	case "table":
		if value == "reset" {
			value = "default" + w.values["channels"]
		}
	}
	w.values[key] = value
	w.tick() // the change is made, and nobody has heard of it yet
	return nil
}

func (w *world) Save(s *State) error {
	w.tick()
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	w.disk = text
	w.tick()
	return nil
}

func (w *world) Remove() error {
	w.tick()
	w.disk = nil
	w.tick()
	return nil
}

// lives runs f and reports whether the process was still alive at its end.
func lives(t *testing.T, f func() error) (alive bool) {
	t.Helper()
	defer func() {
		switch v := recover(); v.(type) {
		case nil:
		case crash:
			alive = false
		default:
			panic(v)
		}
	}()
	if err := f(); err != nil {
		t.Fatal(err)
	}
	return true
}

func newWorld() *world {
	values := map[string]string{"usecs": "16", "frames": "0", "adaptive": "on", "defer": "0", "flush": "0", "channels": "4", "table": "default4", "other": "7"}
	return &world{values: values, birth: maps.Clone(values), refuse: map[string]bool{}, fuse: -1, written: map[string]bool{}}
}

// Whatever the moment of the crash, in Apply or in any Undo after it, and however often, the next Undo that lives puts
// everything back.
func TestWhateverTheMomentOfTheCrashEverythingIsPutBack(t *testing.T) {
	rng := rand.New(rand.NewPCG(testnet.Seed(t), 0))
	wanted := map[string][]string{"usecs": {"0", "50", "16"}, "frames": {"32"}, "adaptive": {"off", "on"}, "defer": {"2"}, "flush": {"200000"},
		"channels": {"2", "4"}, "table": {"1,1", "0,1"}, "none": {"1"}}
	crashes, rounds := 0, 0
	for range 300 {
		var changes []Change
		for _, key := range slices.Sorted(maps.Keys(wanted)) {
			if rng.IntN(2) == 0 {
				changes = append(changes, Change{key, wanted[key][rng.IntN(len(wanted[key]))]})
			}
		}
		rng.Shuffle(len(changes), func(i, j int) { changes[i], changes[j] = changes[j], changes[i] })
		watched := []Change{{Key: "usecs"}, {Key: "table"}} // what a driver changes along with others
		refuse := map[string]bool{}
		for key := range wanted {
			refuse[key] = rng.IntN(5) == 0
		}
		for at := 0; ; at++ { // the crash comes one operation later each time, until none comes
			w := newWorld()
			w.refuse = refuse
			original := maps.Clone(w.values)
			w.fuse = at
			applied := lives(t, func() error {
				s := &State{}
				if err := Apply(w, w, s, slices.Concat(changes[:len(changes)/2], watched)); err != nil {
					return err
				}
				return Apply(w, w, s, slices.Concat(changes[len(changes)/2:], []Change{{"usecs", "24"}}, watched)) // a state may grow
			})
			if applied {
				w.check(t, changes)
			} else {
				crashes++
			}
			for lived := false; !lived; rounds++ {
				if w.disk == nil {
					break
				}
				s := &State{}
				if err := json.Unmarshal(w.disk, s); err != nil {
					t.Fatal(err)
				}
				w.fuse = -1
				if rng.IntN(3) == 0 {
					w.fuse = rng.IntN(25)
				}
				lived = lives(t, func() error {
					r, err := Undo(w, w, s, false)
					if len(r.Left) > 0 {
						t.Errorf("left %+v", r.Left[0])
					}
					return err
				})
			}
			if !maps.Equal(w.values, original) {
				t.Fatalf("changes %v, crash at %d: %v, was %v", changes, at, w.values, original)
			}
			if w.disk != nil {
				t.Fatalf("changes %v, crash at %d: a state is left: %s", changes, at, w.disk)
			}
			if applied {
				break
			}
		}
	}
	t.Logf("%d crashes, %d rounds of undoing", crashes, rounds)
	if crashes < 1000 || rounds < crashes/2 {
		t.Errorf("%d crashes, %d rounds: too few to mean something", crashes, rounds)
	}
}

// check compares what Apply did with what it recorded.
func (w *world) check(t *testing.T, changes []Change) {
	t.Helper()
	w.fuse = -1
	if w.disk == nil {
		if len(w.written) > 0 {
			t.Errorf("%v written, and no state on disk", w.written)
		}
		return
	}
	s := &State{}
	if err := json.Unmarshal(w.disk, s); err != nil {
		t.Fatal(err)
	}
	recorded := map[string]bool{}
	for _, e := range s.Entries {
		recorded[e.Key] = recorded[e.Key] || e.Wanted != "" && e.Phase == Written
		if e.Phase == Refused && !w.refuse[e.Key] && e.Key != "none" {
			t.Errorf("refused: %+v", e)
		}
	}
	for key := range w.written {
		if !recorded[key] {
			t.Errorf("%s written, and not recorded: %s", key, w.disk)
		}
	}
}

func TestWhatSomebodyElseChangedIsLeftUnlessForced(t *testing.T) {
	w := newWorld()
	s := &State{}
	if err := Apply(w, w, s, []Change{{"usecs", "50"}, {"frames", "32"}, {"defer", "2"}}); err != nil {
		t.Fatal(err)
	}
	w.values["frames"] = "9" // somebody else
	w.values["defer"] = "0"  // somebody else put it back already
	r, err := Undo(w, w, s, false)
	if err != nil || len(r.Left) != 1 || !strings.Contains(r.Left[0].Why, "frames is 9 now, not the 32") || !strings.Contains(r.Left[0].Why, "it was 0 before") {
		t.Fatalf("%+v, %v", r, err)
	}
	if w.values["frames"] != "9" || w.values["usecs"] != "16" || w.values["defer"] != "0" || w.disk == nil {
		t.Errorf("%v, disk %s: want frames left, the rest put back, and the state kept for --force", w.values, w.disk)
	}
	if err := json.Unmarshal(w.disk, s); err != nil {
		t.Fatal(err)
	}
	if r, err = Undo(w, w, s, true); err != nil || len(r.Left) > 0 || len(r.Restored) != 1 {
		t.Errorf("forced: %+v, %v", r, err)
	}
	if w.values["frames"] != "0" || w.disk != nil {
		t.Errorf("forced: %v, disk %s", w.values, w.disk)
	}
}

func TestARefusalIsRecordedInTheDriversWordsAndTheRestIsDone(t *testing.T) {
	w := newWorld()
	w.refuse["frames"] = true
	s := &State{}
	if err := Apply(w, w, s, []Change{{"frames", "32"}, {"none", "1"}, {"usecs", "50"}, {"flush", "0"}}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range s.Entries {
		got = append(got, strings.TrimSpace(e.Key+" "+e.Phase+" "+e.Got+" "+e.Why))
	}
	want := []string{"frames refused  operation not supported", "none refused  no such setting", "usecs written 48", "flush in force"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(s.InForce()) != 2 || len(s.Refused()) != 2 {
		t.Errorf("in force %v, refused %v", s.InForce(), s.Refused())
	}
}

// full is a disk without room after some saves.
type full struct {
	*world
	saves int
}

var errFull = errors.New("no space left on device")

func (f *full) Save(s *State) error {
	if f.saves--; f.saves < 0 {
		return errFull
	}
	return f.world.Save(s)
}

func TestWithoutAStateNothingIsChanged(t *testing.T) {
	for saves := range 3 {
		w := newWorld()
		original := maps.Clone(w.values)
		err := Apply(w, &full{w, saves}, &State{}, []Change{{"usecs", "50"}, {"frames", "32"}, {"defer", "2"}})
		if !errors.Is(err, errFull) {
			t.Errorf("%d saves: %v, want %v", saves, err, errFull)
		}
		if saves == 0 && len(w.written) > 0 {
			t.Errorf("%v written without a state", w.written)
		}
		if !maps.Equal(w.values, original) {
			t.Errorf("%d saves: %v, was %v", saves, w.values, original)
		}
	}
}

// stubborn is a device that can no longer be set, or is gone.
type stubborn struct {
	*world
	get, set error
}

func (d *stubborn) Get(key string) (string, error) {
	if d.get != nil {
		return "", d.get
	}
	return d.world.Get(key)
}

func (d *stubborn) Set(key, value string) error {
	if d.set != nil {
		return d.set
	}
	return d.world.Set(key, value)
}

func TestWhatCanNotBePutBackStaysInTheStateForTheNextTry(t *testing.T) {
	w := newWorld()
	original := maps.Clone(w.values)
	s := &State{}
	if err := Apply(w, w, s, []Change{{"usecs", "48"}, {"frames", "32"}}); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []*stubborn{{world: w, set: errRefused}, {world: w, get: errRefused}} {
		if _, err := Undo(broken, w, s, false); !errors.Is(err, errRefused) || w.disk == nil {
			t.Fatalf("%v, disk %s", err, w.disk)
		}
	}
	if _, err := Undo(w, w, s, false); err != nil || !maps.Equal(w.values, original) || w.disk != nil {
		t.Errorf("%v, %v, disk %s", err, w.values, w.disk)
	}
}

func TestNothingIsToBePutBackOnAnInterfaceThatIsGone(t *testing.T) {
	w := newWorld()
	s := &State{}
	if err := Apply(w, w, s, []Change{{"usecs", "48"}, {"frames", "32"}}); err != nil {
		t.Fatal(err)
	}
	if r, err := Undo(&stubborn{world: w, get: fmt.Errorf("b0: %w", ErrGone)}, w, s, false); err != nil || !r.Gone || w.disk != nil {
		t.Errorf("%+v, %v, disk %s", r, err, w.disk)
	}
}
