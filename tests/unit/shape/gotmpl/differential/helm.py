"""Helm's engine in a process of its own: whatever a template does to Go, the tests live on.

Run as a program it reads requests, one JSON object per line, and answers each by a line.
"""

from __future__ import annotations

import base64
import io
import json
import os
import select
import subprocess
import sys
import tarfile
from types import TracebackType
from typing import Any, Final, Self

_SECONDS: Final = 30.0
_CHART: Final = {
    "Chart.yaml": "apiVersion: v2\nname: go\nversion: 0.0.0\n",
    # The result in base64, as it may be no text; the data as one text, as Helm takes null out of values.
    "templates/out": "{{ tpl .Values.template (fromJson .Values.data) | b64enc }}",
}


class Helm:
    """``with Helm() as helm: helm.ask("{{ .a }}", {"a": 1})``. The time zone is UTC, as it is in a container."""

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def ask(self, template: str, data: Any) -> tuple[bytes | None, str]:
        """The text, or None and Helm's error. Raises ``TimeoutError`` where it ends neither way."""
        request = json.dumps({"template": template, "data": json.dumps(data)})
        requests, answers = self._process.stdin, self._process.stdout
        assert requests is not None
        assert answers is not None
        requests.write(request.encode() + b"\n")
        requests.flush()
        ready, _, _ = select.select([answers], [], [], _SECONDS)
        line = answers.readline() if ready else b""
        if not line:
            self._stop()
            self._start()
            raise TimeoutError("Helm's engine gives no answer")
        answer = json.loads(line)
        return (None, answer["error"]) if "error" in answer else (base64.b64decode(answer["text"]), "")

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "TZ": "UTC"},
        )

    def _stop(self) -> None:
        self._process.kill()
        self._process.communicate()


def _serve() -> None:
    # Here only, as the library takes a hundred megabytes.
    import helm_python as helm

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in _CHART.items():
            entry = tarfile.TarInfo(f"go/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    with helm.Chart.load_archive(packed.getvalue()) as chart:
        for line in sys.stdin.buffer:
            try:
                (text,) = chart.render(json.loads(line)).values()
                answer = {"text": text}
            except helm.HelmError as error:
                answer = {"error": str(error)}
            except UnicodeDecodeError as error:
                # Helm's error, which quotes bytes of the template's that are no text.
                answer = {"error": error.object.decode("utf-8", "replace")}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    _serve()
