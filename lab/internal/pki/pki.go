// Package pki makes the certificate authorities, certificates, service account
// key and kubeconfig files of one lab, and keeps those that are already there and
// still valid. Keys are ECDSA P-256. It is for a cluster on one machine that lives
// for days: there is no rotation and no revocation.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/homeostat/homeostat/lab/internal/layout"
)

// Lifetimes of what is made, and how long before its end it is made anew.
const (
	lifetime = 365 * 24 * time.Hour
	renew    = 30 * 24 * time.Hour
)

// Request describes one certificate.
type Request struct {
	File         string // base name of the .crt and .key files
	CommonName   string // the user name, for a client
	Organization string // the group, for a client; may be empty
	DNS          []string
	IPs          []string // literals
}

// Authority is a certificate authority whose key is at hand.
type Authority struct {
	folder string
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
}

// LoadAuthority returns the authority called name in the folder, making it if it
// is missing, broken or about to end.
func LoadAuthority(folder, name string, now time.Time) (Authority, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, name+".crt"), filepath.Join(folder, name+".key"))
	if err == nil && now.Add(renew).Before(pair.Leaf.NotAfter) {
		if key, ok := pair.PrivateKey.(*ecdsa.PrivateKey); ok {
			return Authority{folder: folder, cert: pair.Leaf, key: key}, nil
		}
	}
	template, err := template(now, pkix.Name{CommonName: name})
	if err != nil {
		return Authority{}, err
	}
	template.IsCA = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Authority{}, fmt.Errorf("make key of %s: %w", name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return Authority{}, fmt.Errorf("make certificate of %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return Authority{}, fmt.Errorf("make certificate of %s: %w", name, err)
	}
	return Authority{folder: folder, cert: cert, key: key}, writePair(folder, name, der, key)
}

// Ensure makes the certificate unless one with the same names, by this authority
// and not about to end, is there. It returns whether it made one.
func (a Authority) Ensure(request Request, now time.Time) (bool, error) {
	template, err := template(now, pkix.Name{CommonName: request.CommonName})
	if err != nil {
		return false, err
	}
	if request.Organization != "" {
		template.Subject.Organization = []string{request.Organization}
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.DNSNames = request.DNS
	for _, literal := range request.IPs {
		ip := net.ParseIP(literal)
		if ip == nil {
			return false, fmt.Errorf("make certificate of %s: %q is no IP address", request.File, literal)
		}
		template.IPAddresses = append(template.IPAddresses, ip)
	}
	if a.valid(request.File, template, now) {
		return false, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return false, fmt.Errorf("make key of %s: %w", request.File, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		return false, fmt.Errorf("make certificate of %s: %w", request.File, err)
	}
	return true, writePair(a.folder, request.File, der, key)
}

// valid reports whether the pair on disk says the same as want and can be used.
func (a Authority) valid(file string, want *x509.Certificate, now time.Time) bool {
	pair, err := tls.LoadX509KeyPair(filepath.Join(a.folder, file+".crt"), filepath.Join(a.folder, file+".key"))
	if err != nil {
		return false
	}
	have := pair.Leaf
	if have.CheckSignatureFrom(a.cert) != nil || now.Add(renew).After(have.NotAfter) {
		return false
	}
	return have.Subject.String() == want.Subject.String() &&
		fmt.Sprint(have.DNSNames) == fmt.Sprint(want.DNSNames) && fmt.Sprint(have.IPAddresses) == fmt.Sprint(want.IPAddresses)
}

// EnsureServiceAccountKey makes the key pair sa.key and sa.pub that signs service
// account tokens, unless it is there: a new one would invalidate every token.
func EnsureServiceAccountKey(folder string) error {
	private, public := filepath.Join(folder, "sa.key"), filepath.Join(folder, "sa.pub")
	_, errPrivate := os.Stat(private)
	_, errPublic := os.Stat(public)
	if errPrivate == nil && errPublic == nil {
		return nil
	}
	if err := errors.Join(errPrivate, errPublic); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for service account key: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make service account key: %w", err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return fmt.Errorf("encode service account key: %w", err)
	}
	if err := writeKey(private, key); err != nil {
		return err
	}
	return writePEM(public, "PUBLIC KEY", der, 0o644)
}

func template(now time.Time, subject pkix.Name) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make serial number: %w", err)
	}
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               subject,
		NotBefore:             now.Add(-time.Hour), // a clock that is set back must not stop the lab
		NotAfter:              now.Add(lifetime),
		BasicConstraintsValid: true,
	}, nil
}

func writePair(folder, name string, der []byte, key *ecdsa.PrivateKey) error {
	if err := writeKey(filepath.Join(folder, name+".key"), key); err != nil {
		return err
	}
	return writePEM(filepath.Join(folder, name+".crt"), "CERTIFICATE", der, 0o644)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: kind, Bytes: der}); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	_, err := layout.WriteFile(path, text.Bytes(), mode)
	return err
}
