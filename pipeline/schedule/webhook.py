"""Posts one JSON document, in a process of its own: ``python -m pipeline.schedule.webhook``.

Standard input holds {"url", "document"}, so that the URL stands in no list of processes. Exit code 0
if the server answered with 2xx. Redirections are not followed: the document may be meant for one
server only. Messages do not repeat the URL.
"""

from __future__ import annotations

import base64
import http.client
import json
import sys
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

_SECONDS = 20.0  # for each operation on the socket; who starts this bounds the whole


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        return None


def main() -> int:
    """Posts the document; 0 if it was taken."""
    message = json.load(sys.stdin)
    opener = urllib.request.build_opener(_NoRedirection)
    try:
        with opener.open(_request(message["url"], message["document"]), timeout=_SECONDS):
            return 0
    except urllib.error.HTTPError as e:
        print(f"webhook: the server answers {e.code}", file=sys.stderr)
    except urllib.error.URLError as e:
        print(f"webhook: {e.reason}", file=sys.stderr)
    except (OSError, http.client.HTTPException) as e:
        print(f"webhook: {type(e).__name__}", file=sys.stderr)
    return 1


def _request(url: str, document: dict[str, Any]) -> urllib.request.Request:
    """A name and password in the URL become a header of their own."""
    parts = urlsplit(url)
    credentials, _, host = parts.netloc.rpartition("@")
    headers = {"Content-Type": "application/json", "User-Agent": "pipeline-schedule"}
    if credentials:
        token = base64.b64encode(unquote(credentials).encode()).decode()
        headers["Authorization"] = f"Basic {token}"
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    return urllib.request.Request(bare, json.dumps(document).encode(), headers, method="POST")


if __name__ == "__main__":
    sys.exit(main())
