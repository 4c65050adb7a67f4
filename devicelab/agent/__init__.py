"""The agent: what runs on a computer with phones on its USB ports and works for a lab's service elsewhere.

    adb ──track-devices──► roster (pure) ──► station ──hello, lost──► fer-lab serve
                                              │    ◄──orders, by long poll──┘
                                              └── one process per phone (``hand``), one Appium, one adb server

``roster`` decides what follows from what is seen, ``station`` does it; ``proxy`` is a driver that lives in a process of
its own, ``hand`` is that process; ``ports`` gives each phone its port; ``reports`` is how a word reaches the service.
"""
