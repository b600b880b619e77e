//go:build linux

package controlplane

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"text/template"
	"time"

	"github.com/homeostat/homeostat/lab/internal/layout"
	"github.com/homeostat/homeostat/lab/internal/netns"
)

const metricsServerPort = 4443

// ErrNotFound says that the API server does not have the object.
var ErrNotFound = errors.New("not found")

// Client speaks to the lab's programs from inside the network namespace, as
// administrator where they ask who it is.
type Client struct {
	http *http.Client
}

// Client returns a client; Prepare must have been called before, now or in an
// earlier command.
func (p Plane) Client() (Client, error) {
	pair, err := tls.LoadX509KeyPair(p.cert("admin"), p.key("admin"))
	if err != nil {
		return Client{}, fmt.Errorf("load administrator's certificate: %w", err)
	}
	authority, err := os.ReadFile(p.cert("ca"))
	if err != nil {
		return Client{}, fmt.Errorf("load cluster's authority: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return Client{}, fmt.Errorf("load cluster's authority: no certificate in %s", p.cert("ca"))
	}
	namespace := p.Lab.Namespace()
	return Client{http: &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return netns.Dial(ctx, namespace, address)
			},
			TLSClientConfig:   &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // one request now and then; components are restarted in between
		},
	}}, nil
}

// Get reads a URL. A status other than 200 is an error that quotes the answer.
func (c Client) Get(ctx context.Context, url string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, url, "", nil)
}

func (c Client) do(ctx context.Context, method, url, contentType string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask %s: %w", url, err)
	}
	switch {
	case response.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("ask %s: %w", url, ErrNotFound)
	case response.StatusCode >= http.StatusMultipleChoices:
		return nil, fmt.Errorf("ask %s: %s: %.300s", url, response.Status, bytes.TrimSpace(text))
	}
	return text, nil
}

func (c Client) api(ctx context.Context, path string, into any) error {
	text, err := c.Get(ctx, "https://"+layout.APIAddress+path)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// Healthy asks a component of the control plane whether it is well.
func (c Client) Healthy(ctx context.Context, component string) error {
	urls := map[string]string{
		Etcd:              etcdClient + "/health",
		APIServer:         "https://" + layout.APIAddress + "/readyz",
		ControllerManager: "https://127.0.0.1:10257/healthz",
		Scheduler:         "https://127.0.0.1:10259/healthz",
	}
	if component == MetricsServer {
		return c.conditionTrue(ctx, "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io", "Available")
	}
	url, ok := urls[component]
	if !ok {
		return fmt.Errorf("component %q has no health check", component)
	}
	_, err := c.Get(ctx, url)
	return err
}

// NodeReady returns nil if the node's condition Ready is True.
func (c Client) NodeReady(ctx context.Context, node string) error {
	return c.conditionTrue(ctx, "/api/v1/nodes/"+node, "Ready")
}

// NamespaceUsable returns nil once pods can be created in the namespace default:
// its service account is there.
func (c Client) NamespaceUsable(ctx context.Context) error {
	var ignored map[string]any
	return c.api(ctx, "/api/v1/namespaces/default/serviceaccounts/default", &ignored)
}

func (c Client) conditionTrue(ctx context.Context, path, kind string) error {
	var object struct {
		Status struct {
			Conditions []struct{ Type, Status, Message string }
		}
	}
	if err := c.api(ctx, path, &object); err != nil {
		return err
	}
	for _, condition := range object.Status.Conditions {
		if condition.Type != kind {
			continue
		}
		if condition.Status == "True" {
			return nil
		}
		return fmt.Errorf("%s is %s: %s", kind, condition.Status, condition.Message)
	}
	return fmt.Errorf("%s is not known yet", kind)
}

// metricsObjects makes the aggregated API metrics.k8s.io lead to a process that is
// no pod: a Service without selector and an EndpointSlice with its address.
const metricsObjects = `/api/v1/namespaces/kube-system/services/metrics-server
apiVersion: v1
kind: Service
metadata: {name: metrics-server, namespace: kube-system}
spec: {ports: [{name: https, port: 443, targetPort: {{.Port}}}]}
---
/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/metrics-server-lab
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: metrics-server-lab, namespace: kube-system, labels: {kubernetes.io/service-name: metrics-server}}
addressType: IPv4
ports: [{name: https, port: {{.Port}}, protocol: TCP}]
endpoints: [{addresses: ["{{.IP}}"], conditions: {ready: true}}]
---
/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1beta1.metrics.k8s.io}
spec:
  service: {name: metrics-server, namespace: kube-system, port: 443}
  group: metrics.k8s.io
  version: v1beta1
  caBundle: {{.CA}}
  groupPriorityMinimum: 100
  versionPriority: 100
`

// ApplyMetricsServer writes the objects that make metrics-server part of the API.
func (p Plane) ApplyMetricsServer(ctx context.Context, client Client) error {
	authority, err := os.ReadFile(p.cert("ca"))
	if err != nil {
		return fmt.Errorf("apply metrics-server: %w", err)
	}
	text, err := renderMetricsObjects(p.Lab.Node(1).IP, authority)
	if err != nil {
		return fmt.Errorf("apply metrics-server: %w", err)
	}
	for document := range strings.SplitSeq(text, "---\n") {
		path, object, _ := strings.Cut(document, "\n")
		url := "https://" + layout.APIAddress + path + "?fieldManager=homeostat-lab&force=true"
		if _, err := client.do(ctx, http.MethodPatch, url, "application/apply-patch+yaml", []byte(object)); err != nil {
			return fmt.Errorf("apply metrics-server: %w", err)
		}
	}
	return nil
}

// DeleteMetricsServer removes what ApplyMetricsServer wrote.
func (p Plane) DeleteMetricsServer(ctx context.Context, client Client) error {
	for document := range strings.SplitSeq(metricsObjects, "---\n") {
		path, _, _ := strings.Cut(document, "\n")
		_, err := client.do(ctx, http.MethodDelete, "https://"+layout.APIAddress+path, "", nil)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("delete metrics-server: %w", err)
		}
	}
	return nil
}

func renderMetricsObjects(ip string, authority []byte) (string, error) {
	parsed, err := template.New("metrics-server").Parse(metricsObjects)
	if err != nil {
		return "", err
	}
	encoded, err := json.Marshal(authority) // quoted base64
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = parsed.Execute(&text, map[string]any{"Port": metricsServerPort, "IP": ip, "CA": string(encoded)})
	return text.String(), err
}
