"""Write the JSON Schemas of the documents that fanin writes: ``python docs/ext/schemas.py``.

`tests/records/test_schema.py` holds the files to the records.
"""

from __future__ import annotations

import json
from pathlib import Path

from fanin.records.audit import Audit
from fanin.records.explanation import Explanation
from fanin.records.finding import Diagnosis
from fanin.records.plan import Plan
from fanin.records.prediction import Prediction
from fanin.records.schema import json_schema
from fanin.records.study import Study

__all__ = ["DOCUMENTS", "FOLDER", "written"]

FOLDER = Path(__file__).parents[1] / "schemas"
DOCUMENTS = (Audit, Diagnosis, Explanation, Plan, Prediction, Study)


def written(record: type) -> str:
    """The text of a record's schema."""
    return json.dumps(json_schema(record), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for document in DOCUMENTS:
        (FOLDER / f"{document.__name__.lower()}.schema.json").write_text(written(document), encoding="utf-8")
