// Package credentials makes the certificates, tokens and kubeconfig of one run. Every run has a certificate
// authority of its own, and nothing outlives the state folder.
package credentials

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"sekisho.dev/conformance/cluster/layout"
)

const lifetime = 7 * 24 * time.Hour

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// Write fills the state folder with everything that the processes authenticate by.
func Write(files layout.Files) error {
	if err := os.MkdirAll(filepath.Dir(files.Certificate("ca")), 0o700); err != nil {
		return fmt.Errorf("make the certificate folder: %w", err)
	}
	root, err := newAuthority(files)
	if err != nil {
		return err
	}
	names := []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", layout.NodeName}
	addresses := []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(layout.BridgeAddress), net.ParseIP(layout.APIServiceAddress)}
	for _, owner := range []string{"apiserver", "kubelet", "service-account"} {
		if err := root.issue(files, owner, names, addresses); err != nil {
			return err
		}
	}
	secret := make([]byte, 24)
	if _, err := rand.Read(secret); err != nil {
		return fmt.Errorf("make the administrator's token: %w", err)
	}
	token := hex.EncodeToString(secret)
	row := fmt.Sprintf("%s,administrator,administrator,\"system:masters\"\n", token)
	if err := os.WriteFile(files.Tokens(), []byte(row), 0o600); err != nil {
		return fmt.Errorf("write the token file: %w", err)
	}
	if err := os.WriteFile(files.Kubeconfig(), []byte(kubeconfig(files, token)), 0o600); err != nil {
		return fmt.Errorf("write the kubeconfig: %w", err)
	}
	return nil
}

func kubeconfig(files layout.Files, token string) string {
	return fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: one-machine
clusters:
- name: one-machine
  cluster: {server: %q, certificate-authority: %q}
users:
- name: administrator
  user: {token: %q}
contexts:
- name: one-machine
  context: {cluster: one-machine, user: administrator}
`, layout.APIServerURL, files.Certificate("ca"), token)
}

func template(commonName string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: commonName, Organization: []string{"system:masters"}},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(lifetime),
	}
}

func newAuthority(files layout.Files) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the authority's key: %w", err)
	}
	description := template("one-machine-cluster")
	description.IsCA, description.BasicConstraintsValid = true, true
	description.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	encoded, err := x509.CreateCertificate(rand.Reader, description, description, &key.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("make the authority's certificate: %w", err)
	}
	certificate, err := x509.ParseCertificate(encoded)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate back: %w", err)
	}
	return &authority{certificate, key}, save(files, "ca", encoded, key)
}

func (a *authority) issue(files layout.Files, owner string, names []string, addresses []net.IP) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the key of %s: %w", owner, err)
	}
	description := template(owner)
	description.KeyUsage = x509.KeyUsageDigitalSignature
	description.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	description.DNSNames, description.IPAddresses = names, addresses
	encoded, err := x509.CreateCertificate(rand.Reader, description, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return fmt.Errorf("make the certificate of %s: %w", owner, err)
	}
	return save(files, owner, encoded, key)
}

func save(files layout.Files, owner string, certificate []byte, key *ecdsa.PrivateKey) error {
	encodedKey, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode the key of %s: %w", owner, err)
	}
	for path, block := range map[string]*pem.Block{
		files.Certificate(owner): {Type: "CERTIFICATE", Bytes: certificate},
		files.PrivateKey(owner):  {Type: "EC PRIVATE KEY", Bytes: encodedKey},
	} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", path, err)
		}
	}
	return nil
}
