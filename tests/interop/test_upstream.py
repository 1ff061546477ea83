"""Other trackers over TLS: a gateway that asks them, with real certificates, and one that trusts none of them."""

from __future__ import annotations

import gzip
import http.server
import ssl
import subprocess
import threading
from pathlib import Path
from urllib.parse import quote

import node
from addresses import Ground
from case import InteropCase
from lab import eventually

_ANSWER = b"d8:intervali900e5:peers6:\x7f\x00\x00\x01\x11\x11e"
_AUTHORITY = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority"
_REQUEST = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out request.pem -subj /CN=localhost"
_SIGN = "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem"


class _Tracker(http.server.BaseHTTPRequestHandler):
    """Answers every announce with one peer, packed, and sends whoever asks at /moved to a place without TLS."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", "http://localhost:1/announce")
            self.send_header("Content-Length", "0")
            return self.end_headers()
        body = gzip.compress(_ANSWER)
        self.send_response(200)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Upstream(InteropCase):
    def test_a_tracker_is_asked_over_tls_and_its_packed_answer_is_read(self) -> None:
        self.assertIn(b"\x7f\x00\x00\x01\x11\x11", self.answer("/announce", trusted=True))
        self.assertEqual(len(self.tracker.asked), 1)
        self.gateway.wait_for_line("another tracker answers", 10)

    def test_a_tracker_whose_certificate_is_not_trusted_is_not_asked(self) -> None:
        self.assertNotIn(b"\x7f\x00\x00\x01\x11\x11", self.answer("/announce", trusted=False))
        self.assertEqual(self.tracker.asked, [])
        self.gateway.wait_for_line("another tracker does not answer.*certificate", 10)
        self.assertNotIn("ERROR", self.gateway.log())

    def test_nobody_leads_out_of_tls(self) -> None:
        self.answer("/moved", trusted=True)
        self.gateway.wait_for_line("another tracker does not answer.*not asked", 10)

    def answer(self, path: str, trusted: bool) -> bytes:
        """What a client is answered whose gateway asks a tracker at this path."""
        folder = self.lab.fresh_folder("certificates")
        self.tracker = self.serve(folder)
        host = self.lab.fresh_address(Ground.LOOPBACK)
        url = f"https://localhost:{self.tracker.server_address[1]}{path}"
        argv = [node._binary(), "run", "--lan", "--bind", f"{host}:{node.PORT}", "--no-bootstrap"]
        argv += ["--gateway", f"{host}:{node.GATEWAY_PORT}", "--gateway-announce", "always", "--gateway-upstream", url]
        argv += ["--data-dir", str(folder / "data")]
        # The authorities of this process, as the system's would be.
        env = {"SSL_CERT_FILE": str(folder / "ca.pem")} if trusted else {}
        self.gateway = self.lab.start("gateway", argv, env)
        eventually("the gateway answers", 30, lambda: node.ask_gateway(host, "/"))
        query = f"info_hash={quote(b'a' * 20)}&peer_id=-XX0000-abcdefghijkl&port=2222&left=5&compact=1"
        return node.ask_gateway(host, f"/announce?{query}")

    def serve(self, folder: Path) -> http.server.ThreadingHTTPServer:
        (folder / "names").write_text("subjectAltName=DNS:localhost\nbasicConstraints=CA:FALSE\n")
        for arguments in (_AUTHORITY, _REQUEST, _SIGN):
            subprocess.run(["openssl", *arguments.split()], cwd=folder, check=True, capture_output=True)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
        tracker = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Tracker)
        tracker.asked = []  # type: ignore[attr-defined]
        tracker.socket = context.wrap_socket(tracker.socket, server_side=True)
        threading.Thread(target=tracker.serve_forever, daemon=True).start()
        self.addCleanup(tracker.server_close)
        self.addCleanup(tracker.shutdown)
        return tracker
