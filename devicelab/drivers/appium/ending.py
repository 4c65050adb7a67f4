"""The end of a session, which Appium takes its time for: nobody has to wait, but the next session on that phone must.

To end a session Appium stops its server on the phone and removes the forward of its port. When adb has lost the phone
meanwhile, it tries for up to 20 s per command to find it again; what it then does hits whoever has taken the port
since. So an end that is not waited for removes the forward of the session that comes after it, which finds nobody
there and gives up after ``uiautomator2ServerLaunchTimeout``.
"""

import threading
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

LONGEST_SECONDS = 120.0
"""Some commands to a phone that does not answer, 20 to 30 s each; whoever takes longer will not end any more."""


class Ending:
    """Appium at *url* ending the session *name*, asked from a thread of its own. Never raises."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._thread = threading.Thread(target=self._end, daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Return whether it is over within *seconds*; it is as well when Appium itself is gone."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _end(self) -> None:
        """Ask by a request of ours: the client's ``quit`` would give up and ask again."""
        server = HTTPConnection(urlsplit(self._url).netloc, timeout=LONGEST_SECONDS)
        with suppress(OSError, HTTPException), closing(server):
            server.request("DELETE", f"/session/{self._name}")
            server.getresponse().read()
