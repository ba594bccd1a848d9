"""Servers for tests."""

import sys
from collections.abc import Callable

from benchmarks.servers.installed import Packages
from benchmarks.servers.running import Server


def by_command(*command: str, imports: str = "import json", packages: Callable[[], Packages] = lambda: {}) -> Server:
    """A server whose command gets the port as its last argument."""
    return Server(
        name="sample",
        description="nothing",
        command=lambda port: [sys.executable, *command, str(port)],
        path="/",
        request=lambda comment: {"text": comment},
        label=lambda answer: str(answer["label"]),
        imports=imports,
        packages=packages,
    )


HEALTHY = """
import http.server, subprocess, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"])
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
