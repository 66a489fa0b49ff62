"""A schema registry for tests: Confluent's dialect of HTTP, in memory, with faults on request."""
import base64
import http.server
import json
import threading
import time

from _world import free_port


class Registry:
    """Serves from a thread. `mode` is what it does with a request, None being its best:
    a number: that HTTP status; "hang": takes it and never answers; "slow": answers after a second;
    "garbage": 200 with a page of HTML; "drop": closes the connection."""

    def __init__(self, first_id=100, user=None, password=None, tls=None):
        self.schemas = {}   # id: text
        self.subjects = {}  # subject: [id]
        self.next_id = first_id
        self.mode = None
        self.modes = {}     # path: mode, which goes before
        self.answers = {}   # path: (status, body) instead of its own
        self.requests = []  # (method, path)
        self.credentials = user and "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.refused = 0    # for their credentials
        self.lock = threading.Lock()
        self.port = free_port()
        self.tls = tls
        self.server = None
        self.open()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    def open(self):
        registry = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                registry.serve(self, "GET", None)

            def do_POST(self):
                registry.serve(self, "POST", self.rfile.read(int(self.headers.get("Content-Length", 0))))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.server.daemon_threads = True
        if self.tls:
            self.server.socket = self.tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def shut(self):
        """Connections are refused."""
        server, self.server = self.server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def put(self, text, id=None):
        """Knows a schema; returns its id."""
        with self.lock:
            return self._put(text, id)

    def _put(self, text, id=None):
        for known, of in self.schemas.items():
            if id is None and of == text:
                return known
        if id is None:
            id, self.next_id = self.next_id, self.next_id + 1
        self.schemas[id] = text
        return id

    def asked(self, id):
        return sum(path == f"/schemas/ids/{id}" for _, path in self.requests)

    def serve(self, handler, method, body):
        path = handler.path
        self.requests.append((method, path))
        mode = self.modes.get(path, self.mode)
        if self.credentials and handler.headers.get("Authorization") != self.credentials:
            self.refused += 1
            return self.answer(handler, 401, {"error_code": 401, "message": "Unauthorized"})
        if mode == "hang":
            while self.mode == "hang" or self.modes.get(path) == "hang":
                time.sleep(0.05)
        if mode == "drop" or mode == "hang":
            handler.close_connection = True
            return None
        if mode == "slow":
            time.sleep(1)
        if mode == "garbage":
            return self.answer(handler, 200, "<html>Welcome to the proxy</html>")
        if isinstance(mode, int):
            return self.answer(handler, mode, {"error_code": mode, "message": "as asked"})
        if path in self.answers:
            return self.answer(handler, *self.answers[path])
        return self.answer(handler, *self.act(method, path, body))

    def act(self, method, path, body):
        parts = path.strip("/").split("/")
        with self.lock:
            if method == "GET" and parts[:2] == ["schemas", "ids"]:
                text = self.schemas.get(int(parts[2]))
                if text is None:
                    return 404, {"error_code": 40403, "message": "Schema not found"}
                return 200, {"schema": text}
            if method == "POST" and parts[0] == "subjects" and parts[2:] == ["versions"]:
                id = self._put(json.loads(body)["schema"])
                versions = self.subjects.setdefault(parts[1], [])
                if id not in versions:
                    versions.append(id)
                return 200, {"id": id}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    @staticmethod
    def answer(handler, status, content):
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        try:
            handler.send_response(status)
            handler.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # whoever asked has gone
