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
	"sync"
	"time"
)

// An authority is the certificate authority of a cluster.
type authority struct {
	once        sync.Once
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	signed      []byte // certificate in DER form
}

// The method "make" creates the authority, as PVE's installer does.
func (a *authority) make() {
	a.once.Do(func() {
		now := time.Now()
		a.certificate = &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Proxmox Virtual Environment", Organization: []string{"PVE Cluster Manager CA"}},
			NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(10, 0, 0), IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		a.key, a.signed = sign(a.certificate, a.certificate, nil)
	})
}

// A pki holds the certificate of a node, and the authority that signed it.
type pki struct {
	once      sync.Once
	given     *tls.Certificate
	name      string
	address   string
	leaf      tls.Certificate
	authority []byte // DER
}

// The method "make" creates the node's certificate. If the caller supplied a
// certificate, it keeps that certificate.
func (p *pki) make(by *authority) {
	p.once.Do(func() {
		if p.given != nil {
			chain := p.given.Certificate
			p.leaf, p.authority = *p.given, chain[len(chain)-1]
			return
		}
		by.make()
		p.authority = by.signed
		now := time.Now()
		leaf := &x509.Certificate{
			SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: p.name + ".local", Organization: []string{"Proxmox Virtual Environment"}},
			NotBefore: now.AddDate(0, 0, -1), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
			DNSNames: []string{"localhost", p.name, p.name + ".local"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP(p.address)},
		}
		leafKey, signed := sign(leaf, by.certificate, by.key)
		p.leaf = tls.Certificate{Certificate: [][]byte{signed, p.authority}, PrivateKey: leafKey}
	})
}

// The function "sign" creates a key and a certificate for this key. If by is
// nil, the certificate is self-signed. All inputs come from this package, so
// sign panics on an error.
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

// authorityPEM returns the certificate authority in PEM form.
func (n *Node) authorityPEM() []byte {
	n.pki.make(&n.datacenter.authority)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: n.pki.authority})
}

// CA returns the certificate authority that signed the node's certificate, in
// PEM form as in /etc/pve/pve-root-ca.pem. All nodes of a cluster have the same
// authority.
func (n *Node) CA() []byte { return n.authorityPEM() }

// Certificate returns the node's certificate with its key.
func (n *Node) Certificate() tls.Certificate {
	n.pki.make(&n.datacenter.authority)
	return n.pki.leaf
}

// CertPool returns a pool that contains the node's certificate authority.
func (n *Node) CertPool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(n.authorityPEM())
	return pool
}

// Fingerprint returns the SHA-256 fingerprint of the node's certificate as PVE's
// web interface shows it: hexadecimal bytes with colons.
func (n *Node) Fingerprint() string {
	n.pki.make(&n.datacenter.authority)
	sum := sha256.Sum256(n.pki.leaf.Certificate[0])
	return strings.ReplaceAll(strings.ToUpper(fmt.Sprintf("% x", sum[:])), " ", ":")
}
