package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"xrx/stats"
	"xrx/umem"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	began = time.Date(2026, 1, 2, 3, 4, 5, 500_000_000, time.UTC)
	mode  = stats.Mode{Attach: "native", Bind: "copy", Reason: "not zerocopy: the \"driver\" \\ has\nnone"} // to be escaped
)

// fake is a receiver with two queues.
type fake struct {
	receiving bool
	snapshot  func() stats.Snapshot
}

func (f fake) Registered() bool { return f.receiving }

func (f fake) Snapshot() stats.Snapshot {
	if f.snapshot != nil {
		return f.snapshot()
	}
	return sample()
}

func sample() stats.Snapshot {
	return stats.Snapshot{At: began.Add(time.Minute), CPU: stats.CPU{User: 1500 * time.Millisecond, Sys: 250 * time.Millisecond},
		XDP: map[string]uint64{"redirected": 3000, "no_socket": 7}, Events: map[string]uint64{"link_down": 2, "link_up": 1},
		Missed: map[string]uint64{"capture": 3}, Kept: map[string]uint64{"capture": 64},
		Workers: []stats.Worker{{Worker: 0, Packets: 11, Segments: 12, Bytes: 13, HighWater: 14},
			{Worker: 1, Backlog: 3, Held: 4, Drops: map[string]uint64{stats.Quota: 6, "of_tomorrow": 1}}},
		Queues: []stats.Queue{
			{Queue: 0, Packets: 2000, Bytes: 120_000, Polls: 50, GRO: map[string]uint64{"tcp_seq": 4}, Drops: map[string]uint64{"cut_chain": 2, "of_tomorrow": 1}, Panics: map[string]uint64{"arp": 1}, Handled: map[string]uint64{"udp port 53": 7}, Tx: stats.Tx{Packets: 9, Faults: map[string]uint64{"not_sending": 1}},
				Kernel: stats.Kernel{RxDropped: 5}, Ledger: umem.Ledger{Total: 64, Free: 60, Filling: 4}, CPU: stats.CPU{User: time.Second}},
			{Queue: 3, Packets: 1 << 60, FillLevel: 32, FillSize: 64, Ledger: umem.Ledger{Total: 64, Lost: 64}},
		}}
}

// scrape returns what a server answers, as text and parsed.
func scrape(t *testing.T, c *Collector) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	h, err := Handler(c)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	text := w.Body.String()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return text, families
}

// find returns the value of the one series with these labels.
func find(families map[string]*dto.MetricFamily, name string, labels map[string]string) (v float64, ok bool) {
	f := families[name]
next:
	for _, m := range f.GetMetric() {
		if len(m.Label) != len(labels) {
			continue
		}
		for _, l := range m.Label {
			if want, has := labels[l.GetName()]; !has || want != l.GetValue() {
				continue next
			}
		}
		if f.GetType() == dto.MetricType_COUNTER {
			return m.GetCounter().GetValue(), true
		}
		return m.GetGauge().GetValue(), true
	}
	return 0, false
}

func asMode() stats.Mode { return mode }

func TestEveryValueOfTheCatalogIsServedUnderItsName(t *testing.T) {
	s := sample()
	_, families := scrape(t, NewCollector("eth1", asMode, began, fake{}))
	for i := range stats.Catalog {
		d := &stats.Catalog[i]
		f := families[d.Metric]
		if f.GetHelp() != d.Help || strings.ToLower(f.GetType().String()) != d.Kind.String() {
			t.Errorf("%s: %v, help %q; want %v, %q", d.Metric, f.GetType(), f.GetHelp(), d.Kind, d.Help)
		}
		n := 0
		d.Each(&s, func(queue int, label string, v float64) {
			n++
			labels := map[string]string{"interface": "eth1"}
			switch {
			case d.PerWorker():
				labels["worker"] = fmt.Sprint(queue)
			case queue >= 0:
				labels["queue"] = fmt.Sprint(queue)
			}
			if d.Label != "" {
				labels[d.Label] = label
			}
			if got, ok := find(families, d.Metric, labels); !ok || got != v {
				t.Errorf("%s%v is %v (%v), want %v", d.Metric, labels, got, ok, v)
			}
		})
		if n == 0 {
			t.Errorf("%s was not asked for", d.Metric)
		}
	}
	known := map[string]bool{"xrx_mode_info": true, "xrx_start_time_seconds": true}
	for i := range stats.Catalog {
		known[stats.Catalog[i].Metric] = true
	}
	for name := range families {
		if !known[name] {
			t.Errorf("%s is served and in no catalog", name)
		}
	}
	for name, want := range map[string]float64{"xrx_mode_info": 1, "xrx_start_time_seconds": 1767323045.5} {
		if m := families[name].GetMetric(); len(m) != 1 || m[0].GetGauge().GetValue() != want {
			t.Errorf("%s: %v, want %v", name, m, want)
		}
	}
	if got, ok := find(families, "xrx_mode_info", map[string]string{"interface": "eth1", "attach": "native", "bind": "copy", "reason": mode.Reason}); !ok || got != 1 {
		t.Errorf("the mode's labels: %v", families["xrx_mode_info"])
	}
}

// rate() of a series that begins with its first event does not see that event.
func TestReasonsOfLossAreThereBeforeTheFirstLoss(t *testing.T) {
	_, families := scrape(t, NewCollector("eth1", asMode, began, fake{}))
	for _, c := range []struct {
		metric string
		labels map[string]string
		want   float64
	}{
		{"xrx_queue_drops_total", map[string]string{"queue": "0", "reason": "cut_chain"}, 2},
		{"xrx_queue_drops_total", map[string]string{"queue": "0", "reason": "of_tomorrow"}, 1}, // not among the known ones
		{"xrx_queue_drops_total", map[string]string{"queue": "0", "reason": "descriptor_not_filling"}, 0},
		{"xrx_queue_drops_total", map[string]string{"queue": "3", "reason": "cut_chain"}, 0},
		{"xrx_xdp_outcomes_total", map[string]string{"reason": "no_socket"}, 7},
		{"xrx_xdp_outcomes_total", map[string]string{"reason": "meta_refused"}, 0},
		{"xrx_kernel_rx_dropped_total", map[string]string{"queue": "3"}, 0},
	} {
		c.labels["interface"] = "eth1"
		if got, ok := find(families, c.metric, c.labels); !ok || got != c.want {
			t.Errorf("%s%v is %v (%v), want %v", c.metric, c.labels, got, ok, c.want)
		}
	}
}

func TestTheMetricsFollowPrometheusConventions(t *testing.T) {
	registry := prometheus.NewPedanticRegistry() // checks that Collect keeps to what Describe says
	registry.MustRegister(NewCollector("eth1", asMode, began, fake{}))
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestAReceiverWithoutQueuesIsServedToo(t *testing.T) {
	_, families := scrape(t, NewCollector("eth1", asMode, began, fake{snapshot: func() stats.Snapshot { return stats.Snapshot{} }}))
	if got, ok := find(families, "xrx_xdp_outcomes_total", map[string]string{"interface": "eth1", "reason": "redirected"}); !ok || got != 0 {
		t.Errorf("redirected is %v (%v), want 0", got, ok)
	}
	if families["xrx_rx_packets_total"] != nil {
		t.Errorf("packets of no queue: %v", families["xrx_rx_packets_total"])
	}
}

func TestOtherPathsAndMethodsAreRefused(t *testing.T) {
	h, err := Handler(NewCollector("eth1", asMode, began, fake{receiving: true}))
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]int{"GET /healthz": 200, "GET /": 200, "GET /nothing": 404, "POST /metrics": 405, "HEAD /metrics": 200, "DELETE /healthz": 405} {
		method, path, _ := strings.Cut(request, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
		if w.Code != want {
			t.Errorf("%s: %d, want %d", request, w.Code, want)
		}
	}
}

func TestHealthIsWhetherEveryQueueReceives(t *testing.T) {
	for receiving, want := range map[bool]struct {
		code int
		body string
	}{true: {http.StatusOK, "receiving\n"}, false: {http.StatusServiceUnavailable, "not receiving\n"}} {
		h, err := Handler(NewCollector("eth1", asMode, began, fake{receiving: receiving}))
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
		if w.Code != want.code || w.Body.String() != want.body {
			t.Errorf("receiving %v: %d %q, want %+v", receiving, w.Code, w.Body, want)
		}
	}
}

// promtool runs Prometheus' own checker, where it is installed.
func promtool(t *testing.T, stdin io.Reader, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("needs promtool: apt-get install prometheus, or its release archive")
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = stdin
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolHasNothingToSayAboutTheMetrics(t *testing.T) {
	text, _ := scrape(t, NewCollector("eth1", asMode, began, fake{}))
	promtool(t, strings.NewReader(text), "check", "metrics")
}

func TestPromtoolAcceptsTheAlertRulesAndTheyFire(t *testing.T) {
	for _, f := range []string{"../docs/alert-rules.yml", "testdata/alert-rules.test.yml"} {
		if _, err := os.Stat(f); err != nil {
			t.Fatal(err)
		}
	}
	promtool(t, nil, "check", "rules", "../docs/alert-rules.yml")
	promtool(t, nil, "test", "rules", "testdata/alert-rules.test.yml")
}

// The receiver names its drops in one place; a reason that is added there must be known here.
func TestEveryReasonThatTheReceiverNamesIsKnown(t *testing.T) {
	source, err := os.ReadFile("../snapshot.go")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile(`\.Drops\["(\w+)"\]`).FindAllStringSubmatch(string(source), -1)
	if len(names) == 0 {
		t.Fatal("snapshot.go names no drop")
	}
	for _, n := range names {
		if !slices.Contains(dropReasons(), n[1]) {
			t.Errorf("%s is missing in dropReasons", n[1])
		}
	}
}
