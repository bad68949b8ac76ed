// Package manifest holds the Kubernetes example to the API's own types. It is a module of its own, so that xrx does not
// depend on these.
package manifest

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

const file = "../kubernetes/xrx.yaml"

// decoded are the objects of a manifest.
type decoded struct {
	namespace core.Namespace
	set       apps.DaemonSet
	kinds     []string
}

// decode takes a manifest apart. A field that the API does not have, or a value of another type, is an error.
func decode(text []byte) (d decoded, err error) {
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(doc, &head); err != nil {
			return d, err
		}
		kind := head.APIVersion + " " + head.Kind
		d.kinds = append(d.kinds, kind)
		switch kind {
		case "v1 Namespace":
			err = yaml.UnmarshalStrict(doc, &d.namespace)
		case "apps/v1 DaemonSet":
			err = yaml.UnmarshalStrict(doc, &d.set)
		}
		if err != nil {
			return d, err
		}
	}
	return d, nil
}

func read(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestTheManifestHasOnlyFieldsThatTheAPIHas(t *testing.T) {
	d, err := decode(read(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"v1 Namespace", "apps/v1 DaemonSet"}; !slices.Equal(d.kinds, want) {
		t.Errorf("objects %v, want %v", d.kinds, want)
	}
	for _, c := range []struct{ from, to, complaint string }{
		{"hostNetwork: true", "hostNetworks: true", "hostNetworks"},
		{"maxSurge: 0", "maxSurges: 0", "maxSurges"},
		{"runAsUser: 0", "runAsUser: root", "runAsUser"},
		{"drop: [ALL]", "drops: [ALL]", "drops"},
		{"containerPort: 9780", "containerPort: 9780\n              containerPort: 9781", "containerPort"},
		{"kubernetes.io/enforce: privileged", "kubernetes.io/enforce: [privileged]", "labels"},
	} {
		text := string(read(t))
		if strings.Count(text, c.from) != 1 {
			t.Fatalf("%q is there %d times", c.from, strings.Count(text, c.from))
		}
		if _, err := decode([]byte(strings.Replace(text, c.from, c.to, 1))); err == nil || !strings.Contains(err.Error(), c.complaint) {
			t.Errorf("%q passes for %q: %v", c.to, c.from, err)
		}
	}
}

func TestThePartsOfTheManifestFitEachOther(t *testing.T) {
	d, err := decode(read(t))
	if err != nil {
		t.Fatal(err)
	}
	pod := d.set.Spec.Template
	if d.set.Namespace != d.namespace.Name || len(d.set.Spec.Selector.MatchLabels) == 0 {
		t.Errorf("namespace %q, of the DaemonSet %q; selector %v", d.namespace.Name, d.set.Namespace, d.set.Spec.Selector)
	}
	for k, v := range d.set.Spec.Selector.MatchLabels {
		if pod.Labels[k] != v {
			t.Errorf("the selector's %s=%s is not the pod's %v", k, v, pod.Labels)
		}
	}
	if n := len(pod.Spec.Containers); n != 1 {
		t.Fatalf("%d containers", n)
	}
	c := pod.Spec.Containers[0]
	ports, env := map[string]int32{}, map[string]bool{}
	for _, p := range c.Ports {
		ports[p.Name] = p.ContainerPort
	}
	for _, e := range c.Env {
		env[e.Name] = true
	}
	for name, probe := range map[string]*core.Probe{"readiness": c.ReadinessProbe, "liveness": c.LivenessProbe} {
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Port.Type != intstr.String || ports[probe.HTTPGet.Port.StrVal] == 0 {
			t.Errorf("%s: no GET of a port in %v: %v", name, ports, probe)
		}
	}
	for i, arg := range c.Args {
		for rest := arg; ; {
			_, after, ok := strings.Cut(rest, "$(")
			name, next, closed := strings.Cut(after, ")")
			if !ok {
				break
			}
			if !closed || !env[name] {
				t.Errorf("argument %q: no %s in the environment", arg, name)
			}
			rest = next
		}
		if arg == "--metrics" {
			_, port, _ := strings.Cut(c.Args[i+1], ":")
			if port != pod.Annotations["prometheus.io/port"] || port != strconv.Itoa(int(ports["metrics"])) {
				t.Errorf("metrics: port %s, for Prometheus %s, of the container %d", port, pod.Annotations["prometheus.io/port"], ports["metrics"])
			}
		}
	}
	if c.Resources.Limits.Memory().Cmp(*c.Resources.Requests.Memory()) < 0 || !c.Resources.Limits.Cpu().IsZero() {
		t.Errorf("resources %v", c.Resources)
	}
	s := c.SecurityContext
	if s == nil || s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) || *s.Privileged || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem {
		t.Errorf("security context %v", s)
	}
}
