"""A web page in a real browser reaches neither the gateway nor, through it, other programs on this host."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import shutil
import socket
import threading
from urllib.parse import quote

import addresses
import node
from addresses import Endpoint, Ground
from case import InteropCase
from lab import Lab, eventually

_BROWSER_SECONDS = 120
_FLUSH = b"\r\nflush_all\r\nxxxxxxx"
_PLAIN = b"\xfeplain infohash byte"

# Every way by which a page sends a request that it may not read, and some by which it tries to.
_PAGE = """<!doctype html><meta charset="utf-8"><body><script>
const urls = [URLS];
let sent = 0;
const add = (tag, fields) => { const element = document.createElement(tag); Object.assign(element, fields);
  document.body.append(element); sent += 1; return element };
for (const url of urls) {
  for (const referrerPolicy of ['no-referrer', 'unsafe-url']) {
    add('img', {referrerPolicy, src: url + '&way=img'});
    add('script', {referrerPolicy, src: url + '&way=script'});
    add('iframe', {referrerPolicy, src: url + '&way=iframe'});
    add('link', {referrerPolicy, rel: 'stylesheet', href: url + '&way=style'});
    add('link', {referrerPolicy, rel: 'prefetch', href: url + '&way=prefetch'});
    for (const mode of ['cors', 'no-cors'])
      for (const method of ['GET', 'POST'])
        fetch(url + '&way=fetch', {mode, method, referrerPolicy}).catch(() => {});
  }
  add('video', {src: url + '&way=video'});
  add('object', {data: url + '&way=object'});
  fetch(url, {headers: {'X-Forwarded-For': '127.0.0.1'}}).catch(() => {});
  fetch(url, {headers: {'Accept': '*/*', 'Accept-Language': '*'}, mode: 'no-cors'}).catch(() => {});
  navigator.sendBeacon(url + '&way=beacon');
  new EventSource(url + '&way=events');
  new WebSocket(url.replace('http:', 'ws:') + '&way=socket');
  new Worker(URL.createObjectURL(new Blob(['fetch(' + JSON.stringify(url) + ').catch(() => {})'])));
  const form = add('form', {action: url, method: 'get', target: add('iframe', {name: 'f' + sent}).name});
  for (const pair of new URL(url).search.slice(1).split('&'))
    form.append(Object.assign(document.createElement('input'), {name: pair.split('=')[0], value: pair.split('=')[1]}));
  form.submit();
}
setTimeout(() => fetch('/done?sent=' + sent), 3000);
</script>"""


class Page(InteropCase):
    def test_a_page_reaches_nothing(self) -> None:
        for program in ("chromium", "memcached"):
            self._require(shutil.which(program) is not None, f"{program} is not installed; apt-get install {program}")
        gateway = node.start(self.lab, self.lab.fresh_address(Ground.LOOPBACK), gateway=True).host
        cache, listener = _Memcached(self.lab), _Listener()
        with contextlib.closing(listener):
            cache.send("set key 0 0 5\r\nvalue\r\n", "STORED")
            paths = [
                _announce(_FLUSH, cache.endpoint.port),
                *(_announce(_PLAIN, port) for port in (listener.port, 22, 80, node.GATEWAY_PORT)),
            ]
            browse(self.lab, [f"http://{Endpoint(gateway, node.GATEWAY_PORT)}{path}" for path in paths])
            self.assertEqual(listener.connections, 0, "the page made the gateway connect")
            # The same announces of a program: the gateway asks a client, and neither a command nor itself.
            for path in paths:
                self.assertIn(b"interval", ask(gateway, path))
            eventually("a client is asked for metadata", 30, lambda: listener.connections)
            self.assertIn("value", cache.send("get key\r\n", "END"))


def ask(gateway: str, path: str) -> bytes:
    asking = http.client.HTTPConnection(gateway, node.GATEWAY_PORT, 30)
    with contextlib.closing(asking):
        asking.request("GET", path)
        return asking.getresponse().read()


def browse(lab: Lab, urls: list[str]) -> None:
    """Show a page to a browser that sends requests to `urls`; returns when it has had time for all."""
    done = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/done"):
                done.set()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(_PAGE.replace("URLS", ", ".join(f"'{url}'" for url in urls)).encode())

        def log_message(self, *_: object) -> None:
            """The test's own log is that of the processes."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"]
    alone = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage"]
    folder = lab.fresh_folder("chromium")
    page = f"http://127.0.0.1:{server.server_address[1]}/"
    argv = ["chromium", *alone, *quiet, "--remote-debugging-port=0", f"--user-data-dir={folder}", page]
    browser = lab.start("chromium", argv)
    try:
        assert done.wait(_BROWSER_SECONDS), "the page did not run"
    finally:
        browser.stop()
        server.shutdown()


class _Memcached:
    """The program that people leave on the loopback without a password."""

    def __init__(self, lab: Lab) -> None:
        self.endpoint = Endpoint("127.0.0.1", addresses.fresh_port())
        argv = ["memcached", "-l", "127.0.0.1", "-p", str(self.endpoint.port), "-U", "0", "-u", "root"]
        lab.start("memcached", argv)
        eventually("memcached answers", 30, lambda: self._answers())

    def send(self, command: str, end: str) -> str:
        with socket.create_connection((self.endpoint.host, self.endpoint.port), 30) as stream:
            stream.sendall(command.encode())
            answer = ""
            while end not in answer:
                chunk = stream.recv(4096)
                assert chunk, f"memcached closed the connection after {answer!r}"
                answer += chunk.decode()
        return answer

    def _answers(self) -> bool:
        try:
            return "VERSION" in self.send("version\r\n", "\n")
        except OSError:  # it does not listen yet
            return False


class _Listener:
    """A program that counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                stream, _ = self._socket.accept()
                self.connections += 1
                stream.close()


def _announce(info_hash: bytes, port: int) -> str:
    return f"/announce?info_hash={quote(info_hash)}&peer_id={'x' * 20}&port={port}&left=0&compact=1"
