"""A phone made of software behind real adb and real Appium, to rehearse a lab without owning a phone.

From the cable up it is a Moto G6: it speaks adb's device protocol on a loopback port, has a shell, files, packages,
a log and UiAutomator2's HTTP endpoints, and the official TFLite benchmark, whose times are those of the simulated
phone (``devicelab.drivers.simulator``) for the bytes that were really pushed. Everything above the cable is what a
real phone gets: adb, Appium, its driver and its client, unchanged.

Its texts come from Android's and adb's sources and from published outputs; where none was found it says so
(``properties.UNVERIFIED``). It can never pass for a real phone: see ``devicelab.android``.
"""
