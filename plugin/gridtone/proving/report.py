"""What rule tests found: for people, and as JUnit XML for build servers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

from gridtone.documents import DocumentError
from gridtone.proving.trial import Outcome


def lines(file: Path, outcomes: Sequence[Outcome]) -> list[str]:
    """The report of one file."""
    report = [str(file)]
    for outcome in outcomes:
        report.append(f"  {'FAIL' if outcome.failures else 'ok  '} {outcome.name}")
        report += (f"       {failure}" for failure in outcome.failures)
    return report


def summary(suites: Mapping[Path, Sequence[Outcome]], broken: int) -> str:
    """`broken` files could not be read."""
    outcomes = [outcome for found in suites.values() for outcome in found]
    failed = sum(bool(outcome.failures) for outcome in outcomes)
    expectations = sum(outcome.expectations for outcome in outcomes)
    seconds = sum(outcome.seconds for outcome in outcomes)
    unread = f", {broken} {'file' if broken == 1 else 'files'} with mistakes" if broken else ""
    return f"{len(outcomes) - failed} passed, {failed} failed{unread} ({expectations} expectations, {seconds:.2f} s)"


def write_junit(file: Path, suites: Mapping[Path, Sequence[Outcome]], broken: Mapping[Path, DocumentError]) -> None:
    """Outcomes, and files that could not be read. Raises OSError where the file cannot be written."""
    root = ElementTree.Element("testsuites", name="gridtone test")
    for source, outcomes in suites.items():
        failed = sum(bool(outcome.failures) for outcome in outcomes)
        seconds = sum(outcome.seconds for outcome in outcomes)
        suite = ElementTree.SubElement(
            root, "testsuite", name=str(source), tests=str(len(outcomes)), failures=str(failed), errors="0", skipped="0", time=f"{seconds:.3f}"
        )
        for outcome in outcomes:
            case = ElementTree.SubElement(
                suite, "testcase", name=_printable(outcome.name), classname=source.stem, file=str(source), time=f"{outcome.seconds:.3f}"
            )
            if outcome.failures:
                failure = ElementTree.SubElement(case, "failure", message=_printable(outcome.failures[0].message), type="expectation")
                failure.text = _printable("\n".join(map(str, outcome.failures)))
    for source, problems in broken.items():
        suite = ElementTree.SubElement(root, "testsuite", name=str(source), tests="1", failures="0", errors="1", skipped="0", time="0.000")
        case = ElementTree.SubElement(suite, "testcase", name="the file is good", classname=source.stem, file=str(source), time="0.000")
        ElementTree.SubElement(case, "error", message=_printable(problems.problems[0].message), type="document").text = _printable(str(problems))
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)


def _printable(text: str) -> str:
    """XML has no control characters."""
    return "".join(character if character.isprintable() or character in "\n\t" else "\ufffd" for character in text)
