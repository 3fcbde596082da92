"""Store the results of `asv run` without losing values that were measured earlier."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from asv import util
from asv.console import log
from asv.machine import Machine
from asv.results import Results

from scripts.history.results import keep_older_values
from scripts.measuring import machines

SKIPPED = re.compile(r"asv: skipped: NotImplementedError\((['\"])(.*)\1\)")


class MeasuredResults(Results):
    """Results of one release in one environment, as `asv run` measures and stores them.

    Attributes:
        reasons: why benchmarks of this run are n/a -> whether that was printed. asv itself does not
            store the reasons.
    """

    reasons: ClassVar[dict[str, bool]] = {}

    def add_result(self, benchmark: Any, result: Any, *args: Any, **kwargs: Any) -> None:
        """Add a result, and note the reason if it is n/a."""
        for _, reason in SKIPPED.findall(result.stderr or ""):
            self.reasons.setdefault(reason, False)
        super().add_result(benchmark, result, *args, **kwargs)

    def save(self, results_dir: str) -> None:
        """Store the results, but never replace a stored value by n/a or a failure.

        Otherwise a run without a library or a wheel would erase hours of measuring. asv still
        prints the new outcome; only the file keeps the older value.
        """
        path = Path(results_dir, self._filename)
        if path.exists():
            keep_older_values(self, Results.load(str(path)))
        elif all(map(self._failed, self.get_all_result_keys())):
            return  # nothing was measured, because the release could not be installed
        # before the result, so that a kill leaves no result without a description
        description = machines.describe_machine(path.parent.name)
        util.write_json(str(path.parent / "machine.json"), description, Machine.api_version)
        super().save(results_dir)
        machines.record_host(path.parent)
        print_reasons(reason for reason, printed in self.reasons.items() if not printed)

    def _failed(self, name: str) -> bool:
        values = self.get_result_value(name, self.get_result_params(name))
        return all(value is None for value in values)


def print_reasons(reasons: Iterable[str]) -> None:
    """Print why benchmarks are n/a, and mark the reasons as printed."""
    for reason in list(reasons):
        MeasuredResults.reasons[reason] = True
        log.info(f"n/a: {reason}", color="default")
