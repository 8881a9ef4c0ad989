"""A certificate authority of a test's own, and servers that speak TLS with certificates of it."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from operate.local import account, ports
from operate.local.kafka import Kafka

if TYPE_CHECKING:
    from pathlib import Path

DAY: Final = timedelta(days=1)
#: The one user of the broker.
USER, PASSWORD = "ferryman", "secret-of-the-broker"


class Authority:
    """An authority; ``certificate`` is the file that those who trust it need."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        made = self._builder(self._name, self._key, DAY).add_extension(constraints, critical=True)
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))

    def issue(self, server: str, *, host: str = ports.HOST, lasts: timedelta = DAY) -> tuple[Path, Path]:
        """Return the files of a server's certificate (for one address) and its key; ``lasts`` may be negative."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, server)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
        made = self._builder(name, key, lasts).add_extension(names, critical=False)
        certificate, private = self._folder / f"{server}.pem", self._folder / f"{server}.key"
        certificate.write_bytes(_pem(made.sign(self._key, hashes.SHA256())))
        private.write_bytes(_private(key))
        private.chmod(0o600)
        if user := account.server_user():
            shutil.chown(private, user)
        return certificate, private

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * DAY)
            .not_valid_after(now + lasts)
        )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class SecureKafka(Kafka):
    """A broker whose clients need TLS and a password (SASL_SSL, PLAIN)."""

    def __init__(self, folder: Path, authority: Authority) -> None:
        super().__init__(folder)
        self._authority = authority

    @property
    def properties(self) -> dict[str, str]:
        """What a client needs: ``kafka.properties`` of a pipeline."""
        return {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": USER,
            "sasl.password": PASSWORD,
            "ssl.ca.location": str(self._authority.certificate),
        }

    def settings(self) -> dict[str, str]:
        listener, controller = self.address, f"{ports.HOST}:{self.ports['controller']}"
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        return super().settings() | {
            "listener.security.protocol.map": "CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT",
            "listeners": f"CLIENT://{listener},CONTROLLER://{controller}",
            "advertised.listeners": f"CLIENT://{listener}",
            "inter.broker.listener.name": "CLIENT",
            "sasl.enabled.mechanisms": "PLAIN",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.client.plain.sasl.jaas.config": (
                f'{module} username="{USER}" password="{PASSWORD}" user_{USER}="{PASSWORD}";'
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore()),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._authority.certificate),
        }

    def answers(self) -> bool:
        if not ports.listens(self.port):
            return False
        client = {"bootstrap.servers": self.address, "log_level": 0, "socket.timeout.ms": 5000}
        with suppress(KafkaException):
            return bool(AdminClient({**client, **self.properties}).list_topics(timeout=5).brokers)
        return False

    def _keystore(self) -> Path:
        store = self.folder / "keystore.pem"
        if not store.exists():
            certificate, key = self._authority.issue("kafka")
            store.write_bytes(key.read_bytes() + certificate.read_bytes())
        return store
