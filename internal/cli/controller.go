package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/homeostat/homeostat/internal/cluster"
	"github.com/homeostat/homeostat/internal/decisions"
)

const (
	// askWithin is how long the controller may take to answer.
	askWithin = 5 * time.Second
	// leaseName is the Lease of the leader (leaderElection.name of the configuration, where that is not changed).
	leaseName = "homeostat"
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
)

// controllerFlags say how the controller that leads is reached.
type controllerFlags struct {
	controllerNamespace, url string
}

func (f *controllerFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.controllerNamespace, "controller-namespace", "homeostat-system", "namespace of the controller")
	fl.StringVar(&f.url, "controller", "", "address of the controller, such as http://127.0.0.1:8080; default: through the API server")
}

func (f *controllerFlags) checkAddress() error {
	if f.url == "" {
		return nil
	}
	if u, err := url.Parse(f.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return usagef("--controller %q is not allowed: an address such as http://127.0.0.1:8080", f.url)
	}
	return nil
}

// lastDecision asks the controller that leads for what it has about an autoscaler. An error is one line that says why it cannot be had.
func (f *controllerFlags) lastDecision(ctx context.Context, cfg *rest.Config, of cluster.Ref) (*decisions.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	path := decisions.Path(of.Namespace, of.Kind, of.Name)
	var body []byte
	var err error
	if f.url != "" {
		body, err = get(ctx, strings.TrimSuffix(f.url, "/")+path)
	} else {
		body, err = f.throughAPI(ctx, cfg, path)
	}
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	var e decisions.Entry
	if err := json.Unmarshal(body, &e); err != nil {
		return nil, fmt.Errorf("its answer cannot be read: %w", err)
	}
	return &e, nil
}

// throughAPI asks the pod that holds the Lease through the API server's proxy; without a port that goes to the first port that the pod
// declares, which is the controller's only one.
func (f *controllerFlags) throughAPI(ctx context.Context, cfg *rest.Config, path string) ([]byte, error) {
	leases, err := coordinationv1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	pods, err := corev1.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("make client: %w", err)
	}
	lease, err := leases.Leases(f.controllerNamespace).Get(ctx, leaseName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("there is no Lease %s in namespace %q: give --controller-namespace if Homeostat runs elsewhere", leaseName, f.controllerNamespace)
	case err != nil:
		return nil, fmt.Errorf("read Lease %s in namespace %q: %w", leaseName, f.controllerNamespace, err)
	case lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "":
		return nil, fmt.Errorf("nobody holds the Lease %s in namespace %q: no controller leads", leaseName, f.controllerNamespace)
	}
	leader := *lease.Spec.HolderIdentity
	answer := pods.RESTClient().Get().Namespace(f.controllerNamespace).Resource("pods").Name(leader).SubResource("proxy").Suffix(path).Do(ctx)
	err = answer.Error()
	if own, ok := sentence(err); ok {
		return nil, fmt.Errorf("the leader %s says: %s", leader, own)
	}
	switch {
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the leader %s is no pod in namespace %q: give its address with --controller", leader, f.controllerNamespace)
	case err != nil:
		return nil, fmt.Errorf("ask the leader %s: %w", leader, err)
	}
	return answer.Raw()
}

// sentence returns what a program behind the proxy answered with an error; ok is false where the error is the API server's own.
func sentence(err error) (said string, ok bool) {
	status, is := errors.AsType[*apierrors.StatusError](err)
	if !is || status.ErrStatus.Details == nil {
		return "", false
	}
	for _, c := range status.ErrStatus.Details.Causes {
		if c.Type == metav1.CauseTypeUnexpectedServerResponse && c.Message != "" {
			return c.Message, true
		}
	}
	return "", false
}

func get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the controller: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the controller: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return nil, fmt.Errorf("ask the controller: %w", err)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("it says: %s", body[:min(len(body), 500)])
	}
	return body, nil
}
