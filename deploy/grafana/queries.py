"""The dashboards' queries as rules of Prometheus, so that its own tool reads them: `make alerts`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

DASHBOARDS = Path(__file__).with_name("dashboards")


def rules(path: Path) -> dict[str, Any]:
    """Grafana's own variable is a duration; any will do."""
    panels = json.loads(path.read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    found = [
        {"record": f"{path.stem}:query:{number}", "expr": query.replace("$__rate_interval", "1m")}
        for number, query in enumerate(asked)
    ]
    return {"name": path.stem, "rules": found}


if __name__ == "__main__":
    # JSON is YAML.
    json.dump({"groups": [rules(path) for path in sorted(DASHBOARDS.glob("*.json"))]}, sys.stdout)
