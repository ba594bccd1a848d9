"""Servers of the tests' own making."""

import sys

from benchmarks.servers.process import Server


def by_command(*command: str) -> Server:
    """A server of the test's own making, whose command gets the port as its last argument."""
    return Server(
        "made up",
        "nothing",
        lambda port: [sys.executable, *command, str(port)],
        "/",
        lambda comment: {"text": comment},
        lambda answer: str(answer["label"]),
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
