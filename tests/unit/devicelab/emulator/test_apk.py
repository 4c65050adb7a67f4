"""APKs are known by their own manifest, in both encodings of strings; anything else is refused in pm's words."""

import pytest
from apks import apk

from devicelab.emulator.apk import ApkError, ApkInfo, read_apk

MANIFEST = [
    ("manifest", {"package": "a.b.c", "versionCode": 7, "versionName": "1.2"}),
    ("uses-permission", {"name": "android.permission.INTERNET"}),
    ("instrumentation", {"name": "a.Runner", "targetPackage": "a.b"}),
]


@pytest.mark.parametrize("utf8", [True, False])
def test_identity(utf8):
    info = read_apk(apk(MANIFEST, utf8))
    assert info == ApkInfo("a.b.c", 7, "1.2", ("android.permission.INTERNET",), ("a.Runner", "a.b"))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"no zip", "NOT_APK"),
        (apk([("manifest", {"versionCode": 1})]), "MANIFEST_MALFORMED"),
        (apk(MANIFEST)[:200], "NOT_APK"),
    ],
)
def test_refusals(data, reason):
    with pytest.raises(ApkError, match=reason):
        read_apk(data)
