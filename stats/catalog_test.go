package stats

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// distinct sets every number below v to a value of its own, and every map to two reasons.
func distinct(v reflect.Value, next *int64) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			distinct(v.Field(i), next)
		}
	case reflect.Slice:
		for i := range v.Len() {
			distinct(v.Index(i), next)
		}
	case reflect.Map:
		v.Set(reflect.ValueOf(map[string]uint64{"one": uint64(*next), "two": uint64(*next + 1)}))
		*next += 2
	case reflect.Uint64:
		v.SetUint(uint64(*next))
		*next++
	case reflect.Int:
		v.SetInt(*next)
		*next++
	case reflect.Int64: // a duration: whole seconds
		v.SetInt(*next * int64(time.Second))
		*next++
	}
}

// everything is a snapshot in which no two numbers are the same.
func everything() Snapshot {
	s := Snapshot{At: t0.Add(time.Second), Queues: make([]Queue, 2), Workers: make([]Worker, 2)}
	next := int64(1001)
	distinct(reflect.ValueOf(&s).Elem(), &next)
	s.Queues[0].Queue, s.Queues[1].Queue = 0, 3
	s.Workers[0].Worker, s.Workers[1].Worker = 0, 1
	return s
}

// leaves lists the numbers of a JSON value by their path; queues[] by their number.
func leaves(into map[string]float64, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			leaves(into, strings.TrimPrefix(path+"."+k, "."), e)
		}
	case []any:
		for _, e := range v {
			of := e.(map[string]any)
			leaves(into, fmt.Sprintf("%s[%v]", path, cmp.Or(of["queue"], of["worker"])), e)
		}
	case float64:
		into[path] = v
	}
}

func jsonLeaves(t *testing.T, r Report) map[string]float64 {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	leaves(got, "", v)
	return got
}

func TestTheCatalogHasEveryNumberOfTheJSONLineAndNoOther(t *testing.T) {
	s := everything()
	got := jsonLeaves(t, NewReport("summary", "b0", Mode{}, t0, Snapshot{At: t0}, s))
	described := map[string]float64{}
	for i := range Catalog {
		d := &Catalog[i]
		d.Each(&s, func(queue int, label string, v float64) {
			path := d.JSON
			if d.Label != "" && d.Value == "" {
				path += "." + label
			}
			switch {
			case queue < 0:
				described[path] += v
				return
			case d.PerWorker():
				described[fmt.Sprintf("workers[%d].%s", queue, path)] += v
				return
			}
			described[fmt.Sprintf("queues[%d].%s", queue, path)] += v
			if !d.OnlyPerQueue() {
				described[path] += v
			}
		})
	}
	calculated := map[string]bool{}
	for _, c := range Calculated {
		if strings.HasPrefix(c.JSON, "queues[].") || c.JSON == "rx.pps" || c.JSON == "rx.bps" {
			for _, q := range []string{"queues[0].", "queues[3]."} {
				calculated[q+strings.TrimPrefix(c.JSON, "queues[].")] = true
			}
		}
		calculated[c.JSON] = !strings.HasPrefix(c.JSON, "queues[].")
	}
	for path, v := range got {
		switch want, ok := described[path]; {
		case calculated[path], strings.HasSuffix(path, "].queue"), strings.HasSuffix(path, "].worker"):
		case !ok:
			t.Errorf("%s of a JSON line is not in the catalog", path)
		case v != want:
			t.Errorf("%s is %v, by the catalog %v", path, v, want)
		}
	}
	for path := range described {
		if _, ok := got[path]; !ok {
			t.Errorf("the catalog has %s, a JSON line has not", path)
		}
	}
	for path, real := range calculated {
		if _, ok := got[path]; real && !ok {
			t.Errorf("no JSON line has the calculated %s", path)
		}
	}
}

func TestTheTextHasEveryCounterInTheLineThatTheCatalogSays(t *testing.T) {
	s := everything()
	s.Queues, s.Workers = s.Queues[1:], s.Workers[1:] // one, so that nothing is a sum
	var b bytes.Buffer
	NewReport("summary", "b0", Mode{}, t0, Snapshot{At: t0}, s).WriteText(&b)
	lines, label := map[string]string{}, ""
	for line := range strings.Lines(strings.ReplaceAll(b.String(), ",", "")) {
		if l := strings.TrimSpace(line[:12]); l != "" {
			label = l
		}
		lines[label] += line[12:]
	}
	for i := range Catalog {
		d := &Catalog[i]
		if d.Text == "" {
			continue
		}
		d.Each(&s, func(_ int, reason string, v float64) {
			if !strings.Contains(lines[d.Text], fmt.Sprint(v)) {
				t.Errorf("%s %s %v is not in line %q: %q", d.Metric, reason, v, d.Text, lines[d.Text])
			}
		})
	}
}

func TestTheCatalogDescribesEachValueOnce(t *testing.T) {
	seen := map[string]bool{}
	shared := map[string]*Desc{}
	for i := range Catalog {
		d := &Catalog[i]
		if seen[d.Metric+d.Value] {
			t.Errorf("%s %s is there twice", d.Metric, d.Value)
		}
		seen[d.Metric+d.Value] = true
		if (d.Kind == Counter) != strings.HasSuffix(d.Metric, "_total") {
			t.Errorf("%s is a %v", d.Metric, d.Kind)
		}
		if d.Layer == "" || !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: layer %q, help %q", d.Metric, d.Layer, d.Help)
		}
		first := shared[d.Metric]
		if first == nil {
			shared[d.Metric] = d
		} else if first.Help != d.Help || first.Label != d.Label || first.Kind != d.Kind || first.Layer != d.Layer || first.PerQueue() != d.PerQueue() {
			t.Errorf("%s is not described the same each time", d.Metric)
		}
	}
}
