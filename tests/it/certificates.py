"""A certificate authority for tests, and what it signed."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Certificates:
    """Files: ca, cert and key (localhost), wrong_name, expired (pairs)."""

    def __init__(self, folder):
        self.folder = folder
        self.ca_key = ec.generate_private_key(ec.SECP256R1())
        self.ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "cc-proxy test CA")])
        self.now = datetime.datetime.now(datetime.timezone.utc)
        ca = self._build(self.ca_name, self.ca_key.public_key(), self.ca_name, self.ca_key)
        self.ca = self._write("ca.pem", ca.public_bytes(serialization.Encoding.PEM))
        self.pair = self.cert, self.key = self._issue("localhost")
        self.wrong_name = self._issue("elsewhere.test")
        self.expired = self._issue("localhost", end=-DAY)

    def _write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def _build(self, subject, public_key, issuer, key, host=None, end=10 * DAY):
        b = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
             .public_key(public_key).serial_number(x509.random_serial_number())
             .not_valid_before(self.now - 10 * DAY).not_valid_after(self.now + end)
             .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), True)
             .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), False)
             .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                 self.ca_key.public_key()), False))
        if host:
            b = b.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
        else:
            b = b.add_extension(x509.KeyUsage(
                key_cert_sign=True, crl_sign=True, digital_signature=False,
                content_commitment=False, key_encipherment=False, data_encipherment=False,
                key_agreement=False, encipher_only=False, decipher_only=False), True)
        return b.sign(key, hashes.SHA256())

    def _issue(self, host, end=10 * DAY):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        cert = self._build(subject, key.public_key(), self.ca_name, self.ca_key, host, end)
        name = f"{host}{'-expired' if end < DAY else ''}"
        return (self._write(f"{name}.crt", cert.public_bytes(serialization.Encoding.PEM)),
                self._write(f"{name}.key", key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption())))
