"""The study of Banerjee et al. (JMIR Form Res 2023;7:e39917) as one command: its tables, and what they can tell.

``form`` writes the study, ``evidence`` asks every exported file again and keeps what it answered, ``claims`` judges
what the paper says, ``tables`` and ``page`` show it. The study itself runs like any other (``search.tuning``).
"""
