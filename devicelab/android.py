"""Names on an Android phone that the Appium driver asks for and the simulated phone answers to.

``SIMULATED_PROPERTY`` is how a phone of software can never pass for a real one: the emulator always reports it, the
driver always asks for it, and whoever has it, or is any other emulator (``EMULATOR_PROPERTIES``), is stamped
``simulated`` whatever lab.toml says; no configuration claims the opposite.
"""

SIMULATED_PROPERTY = "ro.ferlab.simulated"
"""Empty on every real phone; on ours the name and version of the physics, which becomes part of the platform."""
EMULATOR_PROPERTIES = ("ro.kernel.qemu", "ro.boot.qemu")
"""``1`` on Google's emulator (both, by release); ours reports both as well."""

BENCHMARK_PACKAGE = "org.tensorflow.lite.benchmark"
BENCHMARK_ACTIVITY = f"{BENCHMARK_PACKAGE}/.BenchmarkModelActivity"
BENCHMARK_ECHO = "Running TensorFlow Lite benchmark with args: "
"""What the app logs first (tag ``tflite_BenchmarkModelActivity``), followed by the arguments that reached it."""
LOG_TAG = "tflite"
BEAT_TAG = "ferlab"
"""The driver's own lines in the phone's log; while they arrive, the log is being read."""
UIA2_PACKAGES = ("io.appium.uiautomator2.server", "io.appium.uiautomator2.server.test")

TEMPORARY = "/data/local/tmp"
"""Where the shell may write and any app may read."""
MODELS = f"{TEMPORARY}/ferlab"
"""Pushed models, one file per sha256 of its content."""
NATIVE_BENCHMARK = f"{TEMPORARY}/benchmark_model"
"""Where the operator puts the native binary (docs/real-phones.md)."""
