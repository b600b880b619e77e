package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func authority(t *testing.T, folder string, at time.Time) Authority {
	t.Helper()
	a, err := LoadAuthority(folder, "ca", at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ensure(t *testing.T, a Authority, request Request, at time.Time) bool {
	t.Helper()
	made, err := a.Ensure(request, at)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func server() Request {
	return Request{File: "server", CommonName: "server", DNS: []string{"localhost"}, IPs: []string{"127.0.0.1"}}
}

func TestServerAndClientTrustEachOther(t *testing.T) {
	folder := t.TempDir()
	a := authority(t, folder, time.Now())
	ensure(t, a, server(), time.Now())
	ensure(t, a, Request{File: "client", CommonName: "alice", Organization: "readers"}, time.Now())
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatalf("read authority: %v", err)
	}
	load := func(name string) tls.Certificate {
		pair, err := tls.LoadX509KeyPair(filepath.Join(folder, name+".crt"), filepath.Join(folder, name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		return pair
	}
	var user, group string
	far := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		subject := r.TLS.PeerCertificates[0].Subject
		user, group = subject.CommonName, subject.Organization[0]
	}))
	far.TLS = &tls.Config{Certificates: []tls.Certificate{load("server")}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert}
	far.StartTLS()
	defer far.Close()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, Certificates: []tls.Certificate{load("client")},
	}}}
	defer client.CloseIdleConnections()
	response, err := client.Get(far.URL) // by IP address
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if user != "alice" || group != "readers" {
		t.Errorf("server saw %s of %s", user, group)
	}
}

func TestWhatIsThereAndValidStays(t *testing.T) {
	folder := t.TempDir()
	a := authority(t, folder, now)
	if !ensure(t, a, server(), now) {
		t.Fatal("nothing was made")
	}
	later := now.Add(48 * time.Hour)
	again := authority(t, folder, later)
	if !again.cert.Equal(a.cert) {
		t.Error("the authority was made anew")
	}
	if ensure(t, again, server(), later) {
		t.Error("a valid certificate was made anew")
	}
}

func TestWhatDoesNotFitIsMadeAnew(t *testing.T) {
	tests := map[string]func(t *testing.T, folder string, a Authority) bool{
		"another address": func(t *testing.T, _ string, a Authority) bool {
			t.Helper()
			request := server()
			request.IPs = append(request.IPs, "10.88.0.1")
			return ensure(t, a, request, now)
		},
		"another user": func(t *testing.T, _ string, a Authority) bool {
			t.Helper()
			request := server()
			request.CommonName = "other"
			return ensure(t, a, request, now)
		},
		"about to end": func(t *testing.T, _ string, a Authority) bool {
			t.Helper()
			return ensure(t, a, server(), now.Add(lifetime-renew+time.Minute))
		},
		"key is lost": func(t *testing.T, folder string, a Authority) bool {
			t.Helper()
			if err := os.Remove(filepath.Join(folder, "server.key")); err != nil {
				t.Fatal(err)
			}
			return ensure(t, a, server(), now)
		},
		"another authority": func(t *testing.T, folder string, _ Authority) bool {
			t.Helper()
			if err := os.Remove(filepath.Join(folder, "ca.key")); err != nil {
				t.Fatal(err)
			}
			return ensure(t, authority(t, folder, now), server(), now)
		},
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			a := authority(t, folder, now)
			ensure(t, a, server(), now)
			if !change(t, folder, a) {
				t.Error("it was kept")
			}
		})
	}
}

func TestAddressThatIsNoneIsRefused(t *testing.T) {
	a := authority(t, t.TempDir(), now)
	if _, err := a.Ensure(Request{File: "x", IPs: []string{"node1"}}, now); err == nil {
		t.Error("no error")
	}
}

func TestServiceAccountKeyIsStable(t *testing.T) {
	folder := t.TempDir()
	var keys [2]string
	for i := range keys {
		if err := EnsureServiceAccountKey(folder); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(folder, "sa.key"))
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = string(text)
	}
	if keys[0] != keys[1] {
		t.Error("a new key makes every token invalid")
	}
	status, err := os.Stat(filepath.Join(folder, "sa.key"))
	if err != nil || status.Mode().Perm() != 0o600 {
		t.Errorf("mode of the key: %v, %v", status.Mode(), err)
	}
}

func TestKubeconfigHoldsEverything(t *testing.T) {
	folder := t.TempDir()
	a := authority(t, folder, now)
	ensure(t, a, Request{File: "admin", CommonName: "admin"}, now)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := WriteKubeconfig(path, folder, "admin", "lab", "https://127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Current  string `json:"current-context"`
		Clusters []struct {
			Name    string
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
		Users []struct {
			User struct {
				Cert []byte `json:"client-certificate-data"`
				Key  []byte `json:"client-key-data"`
			}
		}
	}
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	if config.Current != "lab" || config.Clusters[0].Name != "lab" || config.Clusters[0].Cluster.Server != "https://127.0.0.1:1" {
		t.Errorf("unexpected names in %s", text)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(config.Clusters[0].Cluster.CA) {
		t.Error("no authority inside")
	}
	if _, err := tls.X509KeyPair(config.Users[0].User.Cert, config.Users[0].User.Key); err != nil {
		t.Error(err)
	}
}
