"""What the tests of tracking share."""

import pytest

from search.folder import StudyFolder
from search.ledger import Ledger
from search.record import StudyRecord


@pytest.fixture
def record(studied: StudyFolder) -> StudyRecord:
    with Ledger.open(studied.ledger_path, readonly=True) as ledger:
        return ledger.record()
