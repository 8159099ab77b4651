"""The central double in a thread of the test, over real HTTPS, with the keys of a GatewayHall."""

import time

import httpx
from app_thread import AppThread
from sealing_device import HALL, SUITE

from gateway.forwarder import central_client
from simulator import central
from simulator.annotation_check import AnnotationCheck
from simulator.central_check import DeviceKey, RecordCheck
from simulator.central_faults import Faults
from simulator.central_manifests import ManifestCheck
from simulator.central_store import CentralStore

TOKEN = "token-of-the-central-system"


class CentralDouble:
    """hall: a GatewayHall; certificates: folder of a provisioned hall. A context manager."""

    def __init__(self, hall, certificates, store=None):
        self.root = certificates / "central" / "root.pem"
        self._certificate = certificates / "central" / "server.pem"
        self._key = certificates / "central" / "server.key"
        self.store = CentralStore(store)
        self.hall = hall
        check = RecordCheck(HALL, self._device_keys, hall.keys[2])
        notes = AnnotationCheck(HALL, hall.signer.public_key)
        manifests = ManifestCheck(HALL, self.root.read_bytes(), self.store)
        self.parts = central.CentralParts(HALL, TOKEN, check, notes, self.store, Faults(), manifests, sleep=time.sleep)

    def _device_keys(self):
        return {
            name: DeviceKey(one.kind, SUITE.load_public(one.signer.public_key))
            for name, one in self.hall.devices.items()
        }

    def __enter__(self):
        self._served = AppThread(central.create(self.parts), self._certificate, self._key)
        self.url = f"https://127.0.0.1:{self._served.port}"
        return self

    def __exit__(self, *_):
        self._served.close()
        self.store.close()

    def client(self, token=TOKEN, timeout_s=5.0):
        client = central_client(self.url, token, self.root)
        client.timeout = httpx.Timeout(timeout_s)
        return client

    def fail(self, mode, **more):
        """Tell the double over its own API what to play."""
        with self.client() as client:
            client.post("/faults", json={"mode": mode, **more}).raise_for_status()

    def summary(self):
        with self.client() as client:
            return client.get("/api/v1/summary").raise_for_status().json()
