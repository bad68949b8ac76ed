package stats

import "testing"

func TestLatenciesPutTogetherAreTheWorstOfEach(t *testing.T) {
	a := &Latency{Packets: 10, Unstamped: 1, Min: 1e-6, P50: 2e-6, P90: 3e-6, P99: 9e-6, P999: 1e-5, P9999: 2e-5, Max: 3e-5}
	b := &Latency{Packets: 5, Min: 2e-6, P50: 4e-6, P90: 5e-6, P99: 6e-6, P999: 7e-6, P9999: 8e-6, Max: 1}
	none := &Latency{Unstamped: 4}
	for _, c := range []struct {
		name       string
		a, b, want *Latency
	}{
		{"nothing and nothing", nil, nil, nil},
		{"nothing and something", nil, a, a},
		{"something and nothing", a, nil, a},
		{"two", a, b, &Latency{Packets: 15, Unstamped: 1, Min: 1e-6, P50: 4e-6, P90: 5e-6, P99: 9e-6, P999: 1e-5, P9999: 2e-5, Max: 1}},
		{"one without stamps", none, b, &Latency{Packets: 5, Unstamped: 4, Min: 2e-6, P50: 4e-6, P90: 5e-6, P99: 6e-6, P999: 7e-6, P9999: 8e-6, Max: 1}},
	} {
		got := c.a.Worst(c.b)
		if (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

func TestLatencyReadsWell(t *testing.T) {
	for _, c := range []struct {
		l    Latency
		want string
	}{
		{Latency{Packets: 4, P50: 123e-9, P99: 45.678e-6, P999: 12.3e-3, Max: 1.5}, "p50 123 ns, p99 45.7 us, p99.9 12.3 ms, max 1.5 s"},
		{Latency{Unstamped: 1234}, "no stamped packet, 1,234 without a stamp"},
	} {
		if got := c.l.String(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
