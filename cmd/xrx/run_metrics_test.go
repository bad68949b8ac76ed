package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/vishvananda/netlink"

	"xrx/internal/testnet"
)

// documented is where docs/METRICS.md says that a field of a JSON line is: the metric, and the label it has a value of.
type documented struct{ metric, label, value string }

var metricRow = regexp.MustCompile("(?m)^\\| `(xrx_\\w+)(?:{(\\w+)=\"(\\w+)\"})?` \\| \\w+ \\| ([\\w, ]*) \\| (`.+`) \\| [^|]+ \\| [^|]+ \\|$")

func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile("../../docs/METRICS.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]documented{}
	for _, row := range metricRow.FindAllStringSubmatch(string(text), -1) {
		for field := range strings.SplitSeq(row[5], ", ") {
			d := documented{row[1], row[2], row[3]}
			if strings.HasSuffix(field, ".*`") {
				d.label = "reason"
			}
			fields[strings.Trim(field, "`")] = d
		}
	}
	if len(fields) < 50 {
		t.Fatalf("docs/METRICS.md has %d fields", len(fields))
	}
	return fields
}

// calculatedFields are the numbers that the document says Prometheus calculates; queue and worker are labels.
var calculatedFields = regexp.MustCompile(`^(queues\[\]\.)?(rx\.[pb]ps|cpu\.ns_per_packet|batch|queue|elapsed_s|interval_s)$|^workers\[\]\.worker$`)

func scrape(t *testing.T, client *http.Client, url string) (int, map[string]*dto.MetricFamily) {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK || !strings.HasSuffix(url, "/metrics") {
		io.Copy(io.Discard, r.Body)
		return r.StatusCode, nil
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, families
}

// series adds up what has all these labels.
func series(families map[string]*dto.MetricFamily, name string, labels map[string]string) (sum float64, n int) {
	for _, m := range families[name].GetMetric() {
		has := 0
		for _, l := range m.Label {
			if v, ok := labels[l.GetName()]; ok && v == l.GetValue() {
				has++
			}
		}
		if has == len(labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			n++
		}
	}
	return sum, n
}

func TestEveryCounterOfAJSONLineIsServedUnderItsDocumentedName(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{Queues: 2})
	if err := n.B.Do(func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(lo)
	}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout, stderr transcript
	code := make(chan int, 1)
	go func() {
		c := -1
		if err := n.B.Do(func() error {
			c = execute(ctx, env{&stdout, &stderr}, []string{"run", n.B.Iface, "--json", "--interval", "0", "--metrics", "0", "--workers", "2"})
			return nil
		}); err != nil {
			fmt.Fprintln(&stderr, err)
		}
		code <- c
	}()
	stderr.await(t, "it says where the metrics are", hasLine)
	url, ok := strings.CutPrefix(strings.TrimSpace(stderr.String()), "xrx: metrics at ")
	if !ok || !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("stderr %q: want an address on loopback, and no warning", stderr.String())
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
		err = n.B.Do(func() error { // the socket must be of that namespace
			c, err = net.DialTimeout(network, addr, 5*time.Second)
			return err
		})
		return c, err
	}}}
	wait := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("after 10 s still not: %s", what)
			}
		}
	}
	wait("healthy", func() bool {
		c, _ := scrape(t, client, strings.Replace(url, "/metrics", "/healthz", 1))
		return c == http.StatusOK
	})
	const sent = 64
	n.Sender().Send(traffic(n, sent, 16)...)
	var families map[string]*dto.MetricFamily
	wait("all frames are counted", func() bool {
		_, families = scrape(t, client, url)
		received, _ := series(families, "xrx_rx_packets_total", nil)
		delivered, _ := series(families, "xrx_delivered_segments_total", nil)
		return received >= sent && delivered == received
	})
	_, families = scrape(t, client, url) // a worker may deliver while a scrape is under way, after the queue was read
	cancel()
	if c := <-code; c != 0 {
		t.Fatalf("code %d, %s", c, stderr.String())
	}
	if _, err := client.Get(url); err == nil {
		t.Error("it answers after the end")
	}
	compareWithJSON(t, stdout.String(), families)
}

// compareWithJSON looks for each number of a JSON line among the metrics, by the name that the document gives. Those
// that no longer changed after the scrape must be the same.
func compareWithJSON(t *testing.T, text string, families map[string]*dto.MetricFamily) {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(text), &line); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	doc := documentedMetrics(t)
	still := regexp.MustCompile(`^(queues\[\]\.)?(rx|delivered|gro|xdp|kernel|drops)\.|ledger\.(total|lost)$|fill\.size$`)
	compared := 0
	var walk func(path string, labels map[string]string, v any)
	walk = func(path string, labels map[string]string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				walk(strings.TrimPrefix(path+"."+k, "."), labels, e)
			}
		case []any:
			for _, e := range v {
				of := e.(map[string]any)
				for _, kind := range []string{"queue", "worker"} {
					if of[kind] != nil {
						walk(path+"[]", map[string]string{kind: fmt.Sprint(of[kind])}, e)
					}
				}
			}
		case float64:
			if calculatedFields.MatchString(path) {
				return
			}
			want := map[string]string{}
			for k, l := range labels {
				want[k] = l
			}
			d, ok := doc[path]
			if i := strings.LastIndexByte(path, '.'); !ok && i > 0 {
				d, ok = doc[path[:i]+".*"]
				d.value = path[i+1:]
			}
			if d.label != "" {
				want[d.label] = d.value
			}
			got, n := series(families, d.metric, want)
			switch {
			case !ok:
				t.Errorf("docs/METRICS.md does not say where %s is", path)
			case n == 0:
				t.Errorf("%s should be %s%v: there is none", path, d.metric, want)
			case still.MatchString(path) && got != v:
				t.Errorf("%s is %v, %s%v is %v", path, v, d.metric, want, got)
			case still.MatchString(path):
				compared++
			}
		}
	}
	walk("", nil, line)
	if compared < 30 {
		t.Errorf("%d values compared", compared)
	}
}

func TestAnAddressForMetricsThatIsNoneIsRefusedBeforeAnythingIsOpened(t *testing.T) {
	for addr, want := range map[string]string{"eth0:9780": "not an IP address", "*:9780": "not an IP address", "x": "want 0 to 65535", "127.0.0.1:99999": "65535"} {
		code, stdout, stderr := runCommand(context.Background(), "run", "nosuch0", "--metrics", addr)
		if code != 2 || stdout != "" {
			t.Errorf("%s: code %d, stdout %q", addr, code, stdout)
		}
		wantLine(t, stderr, "--metrics", want)
	}
}

func TestAnAddressForMetricsThatCannotBeHadEndsTheRunWithCode1(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	done, _, _ := runIn(t, n, "--metrics", "203.0.113.9:9780", "--duration", "50ms")
	r := <-done
	if r.code != 1 || r.stdout != "" {
		t.Errorf("code %d, stdout %q", r.code, r.stdout)
	}
	wantLine(t, r.stderr, "metrics", "203.0.113.9:9780", "cannot assign requested address")
}

func TestMetricsBeyondLoopbackAreWarnedAbout(t *testing.T) {
	testnet.Require(t, "root", "veth")
	testnet.NoLeaks(t)
	n := testnet.New(t, testnet.Options{})
	for _, addr := range []string{n.B.IP4.String() + ":0", "0.0.0.0:0"} {
		done, _, _ := runIn(t, n, "--metrics", addr, "--duration", "20ms", "--interval", "0")
		r := <-done
		if r.code != 0 || strings.Count(r.stderr, "\n") != 2 || !strings.Contains(r.stderr, "xrx: warning: whoever can reach that address can read") {
			t.Errorf("%s: code %d, stderr %q", addr, r.code, r.stderr)
		}
	}
}
