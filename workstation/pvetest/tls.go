package pvetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"strings"
	"time"
)

// make creates a certificate authority, and a certificate signed by it, as
// PVE's installer does. If the caller supplied a certificate, make keeps that
// certificate.
func (p *pki) make() {
	p.once.Do(func() {
		if p.given != nil {
			chain := p.given.Certificate
			p.leaf, p.authority = *p.given, chain[len(chain)-1]
			return
		}
		now := time.Now()
		authority := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Proxmox Virtual Environment", Organization: []string{"PVE Cluster Manager CA"}},
			NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		key, signed := sign(authority, authority, nil)
		p.authority = signed
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: p.name + ".local", Organization: []string{"Proxmox Virtual Environment"}},
			NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
			DNSNames: []string{"localhost", p.name, p.name + ".local"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP(p.address)},
		}
		leafKey, signed := sign(leaf, authority, key)
		p.leaf = tls.Certificate{Certificate: [][]byte{signed, p.authority}, PrivateKey: leafKey}
	})
}

// sign creates a key and a certificate for it. If by is nil, the certificate is
// self-signed. All inputs come from this package, so sign panics on an error.
func sign(certificate, parent *x509.Certificate, by *ecdsa.PrivateKey) (*ecdsa.PrivateKey, []byte) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	if by == nil {
		by = key
	}
	signed, err := x509.CreateCertificate(rand.Reader, certificate, parent, &key.PublicKey, by)
	if err != nil {
		panic(err)
	}
	return key, signed
}

// authority returns the certificate authority in PEM form.
func (n *Node) authority() []byte {
	n.pki.make()
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.pki.authority})
}

// CA returns the certificate authority that signed the node's certificate. It
// is in PEM form, as in /etc/pve/pve-root-ca.pem. Each node has its own
// authority.
func (n *Node) CA() []byte { return n.authority() }

// Certificate returns the node's certificate with its key.
func (n *Node) Certificate() tls.Certificate {
	n.pki.make()
	return n.pki.leaf
}

// CertPool returns a pool that contains the node's certificate authority.
func (n *Node) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.authority())
	return pool
}

// Fingerprint returns the SHA-256 fingerprint of the node's certificate as PVE's
// web interface shows it: hexadecimal bytes with colons.
func (n *Node) Fingerprint() string {
	n.pki.make()
	sum := sha256.Sum256(n.pki.leaf.Certificate[0])
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum[:])), " ", ":")
}
