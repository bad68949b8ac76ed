package metrics

import (
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"xrx/stats"
)

func TestAnAddressIsLoopbackUnlessAnotherIsWrittenOut(t *testing.T) {
	for s, want := range map[string]string{
		"9780":             "127.0.0.1:9780",
		":9780":            "127.0.0.1:9780",
		"localhost:9780":   "127.0.0.1:9780",
		"127.0.0.1:9780":   "127.0.0.1:9780",
		"127.0.0.1:0":      "127.0.0.1:0",
		"[::1]:9780":       "[::1]:9780",
		"192.0.2.1:9780":   "192.0.2.1:9780",
		"0.0.0.0:9780":     "0.0.0.0:9780",
		"[::]:9780":        "[::]:9780",
		"[fe80::1%lo]:978": "[fe80::1%lo]:978",
	} {
		if got, err := ParseAddr(s); err != nil || got.String() != want {
			t.Errorf("%s is %v (%v), want %s", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"":                "port",
		"metrics":         "port",
		"65536":           "65535",
		"-1":              "65535",
		"example.com:978": "not an IP address",
		"*:9780":          "not an IP address",
		"127.0.0.1":       "want 0 to 65535",
		"::1:9780":        "address:port",
		"[::1]":           "address:port",
		"127.0.0.1:http":  "65535",
	} {
		if got, err := ParseAddr(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %v (%v), want an error with %q", s, got, err, want)
		}
	}
}

func serve(t *testing.T, source Source) *Server {
	t.Helper()
	s, err := Serve(netip.MustParseAddrPort("127.0.0.1:0"), NewCollector("eth1", asMode, began, source))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func get(c *http.Client, url string) (int, string, error) {
	r, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	return r.StatusCode, string(body), err
}

func TestAServerServesFromServeToClose(t *testing.T) {
	s := serve(t, fake{receiving: true})
	client := &http.Client{Transport: &http.Transport{}} // keeps its connection: Close must not wait for it
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/metrics": `xrx_rx_packets_total{interface="eth1",queue="0"} 2000`, "/healthz": "receiving"} {
		code, body, err := get(client, strings.Replace(s.URL(), "/metrics", path, 1))
		if err != nil || code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d (%v), want %q in %q", path, code, err, want, body)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, _, err := get(client, s.URL()); err == nil {
		t.Error("it answers after Close")
	}
}

func TestClosingLetsAnAnswerFinish(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	s := serve(t, fake{snapshot: func() stats.Snapshot {
		close(asked)
		<-answer
		return sample()
	}})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	wg.Go(func() {
		if code, _, err := get(client, s.URL()); code != 200 || err != nil {
			t.Errorf("the answer under way: %d, %v", code, err)
		}
	})
	<-asked
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	refused(t, s.addr)
	close(answer)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// refused waits until nobody listens at addr.
func refused(t *testing.T, addr net.Addr) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(deadline) {
			t.Fatal("it listens 10 s after Close was called")
		}
	}
}

func TestScrapesAtOnceAreBounded(t *testing.T) {
	asked, answer := make(chan struct{}, scrapes+1), make(chan struct{})
	s := serve(t, fake{snapshot: func() stats.Snapshot {
		asked <- struct{}{}
		<-answer
		return sample()
	}})
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var wg sync.WaitGroup
	for range scrapes {
		wg.Go(func() {
			if code, _, err := get(client, s.URL()); code != 200 || err != nil {
				t.Errorf("%d, %v", code, err)
			}
		})
	}
	for range scrapes {
		<-asked
	}
	if code, _, err := get(client, s.URL()); code != http.StatusServiceUnavailable || err != nil {
		t.Errorf("one more at once: %d, %v, want 503", code, err)
	}
	close(answer)
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnAddressThatIsTakenIsSaidSo(t *testing.T) {
	s := serve(t, fake{})
	defer s.Close()
	if second, err := Serve(netip.MustParseAddrPort(s.addr.String()), NewCollector("eth1", asMode, began, fake{})); err == nil {
		second.Close()
		t.Error("two servers at one address")
	} else if !strings.Contains(err.Error(), "address already in use") || !strings.HasPrefix(err.Error(), "metrics: ") {
		t.Error(err)
	}
}
