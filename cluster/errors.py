"""The errors of the machines room.

ClusterError             base of everything this room raises on purpose (exit code 1)
├── ProfileError         a cluster definition that cannot be right, with file and key (exit code 2)
└── NotRunning           the cluster that was asked for is not up (exit code 3)
"""


class ClusterError(Exception):
    """Base of every error that ``cluster`` raises on purpose. ``exit_code`` is for the command line."""

    exit_code = 1


class ProfileError(ClusterError):
    """A cluster definition that cannot be right; the message names file and key."""

    exit_code = 2


class NotRunning(ClusterError):  # noqa: N818 - a state of the world, not an error of anybody
    """The cluster that was asked for is not up."""

    exit_code = 3
