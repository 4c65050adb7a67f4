"""Phones through the real Appium server: the one door to Appium and adb.

``driver`` is the phone, ``session`` its Appium session, ``server`` the processes of this host, ``adb`` what Appium
does not do (connect, push, reboot), ``condition`` what a phone tells about itself, ``failures``
which message means what.
"""
