"""Disputes in the terminal: a verified round, evidence and what it shows, a challenge, a ruling."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from eth_utils import to_checksum_address
from rich.console import Console
from rich.text import Text

from clicooper.disputes.evidence_file import OpenedEvidence
from clicooper.disputes.head_check import HeadCheck
from clicooper.disputes.opinion import Answer, Opinion, named
from clicooper.plain_text import plain
from clicooper.protocol.arbiter import Judgement
from clicooper.protocol.verification import RoundReport, VerifyOptions
from clicooper.reports.audit_tables import print_audit
from clicooper.reports.tables import amount, coin, print_lines, table

__all__ = [
    "print_case",
    "print_challenge",
    "print_checked",
    "print_evidence",
    "print_made",
    "print_round",
    "print_ruling",
]


def print_round(console: Console, found: RoundReport, options: VerifyOptions) -> None:
    """A verified round: its checks, how likely a cheat escapes, the decision, and what was sent."""
    print_audit(console, found.report)
    printed = found.to_json()
    escape, decision = printed["escape"], printed["decision"]
    rows = table(
        f"Round {found.found.round}: a cheat in a share of the intervals", "share", "escapes", numeric=("escapes",)
    )
    for one in escape["shares"]:
        rows.add_row(f"{one['share']:.0%}", f"at most {one['escape']:.2%}")
    console.print(rows)
    drawn = f"{escape['samples']} of {escape['intervals']} intervals were drawn"
    seat = "" if decision["seat"] is None else f" seat {decision['seat']} ({decision['ground']})"
    print_lines(
        console,
        f"{drawn}; {escape['samples_for_99']} would catch 5 % with a probability of 99 %",
        f"Decision: {decision['action']}{seat}: {decision['reason']}",
        _tell_outcome(printed, options),
    )


def _tell_outcome(printed: dict[str, Any], options: VerifyOptions) -> str:
    sent = printed["sent"]
    if printed["settled"]:
        return f"Settled: {printed['settled']}; nothing was sent"
    if sent is None:
        allowed = {"accept": options.accept, "challenge": options.challenge}.get(printed["decision"]["action"])
        return "Nothing was sent" + (
            "" if allowed is not False else f": add --{printed['decision']['action']} to do it"
        )
    where = f"in block {sent['block']}, transaction {sent['tx_hash']}"
    if sent["act"] == "accept":
        return f"Accepted {where}: {coin(sent['paid_wei'])} earned, and the next label key is out"
    bond = f"bond of {coin(sent['bond_wei'])} locked"
    what = "a note of the failed check" if sent["evidence"] == "note" else "evidence"
    return f"Challenged {where}: {bond}, challenge {sent['challenge_id']}, {what} {sent['evidence_digest']}"


def print_made(console: Console, result: dict[str, Any]) -> None:
    """Evidence that was just made."""
    count = len(result["recipients"])
    sealed = f"sealed to {count} recipients" if result["sealed"] else "NOT sealed: anyone can read it"
    print_lines(console, f"Evidence: {result['file']}, {result['size_bytes']:,} bytes, {sealed}")
    _print_pairs(console, result, ("digest", "challenger", "published"))


def print_evidence(console: Console, result: dict[str, Any]) -> None:
    """What everybody may see of evidence."""
    _print_pairs(console, result, ("digest", "challenger", "genesis", "sealed"))


def _print_pairs(console: Console, result: dict[str, Any], names: Sequence[str]) -> None:
    print_lines(console, *(f"{name + ':':<12}{result[name]}" for name in names if name in result))


def print_checked(console: Console, opened: OpenedEvidence, opinion: Opinion, head: HeadCheck | None) -> None:
    """Evidence that was repeated, and what is known of the head that it ends in."""
    evidence = opened.evidence
    source = "not compared with a node"
    if head is not None:
        source = f"{'that of' if head.verified else 'not known to'} {head.source}"
    names = f"round {evidence.round}, challenger {to_checksum_address(evidence.challenger)}"
    print_lines(console, f"Evidence 0x{opened.digest.hex()}, {names}; its head 0x{evidence.head.hex()} is {source}")
    _print_opinion(console, opinion)


def _print_opinion(console: Console, opinion: Opinion) -> None:
    """The finding, then the numbers behind it."""
    colour = {Answer.GUILTY: "red", Answer.NOT_GUILTY: "green"}.get(opinion.answer, "yellow")
    fault = opinion.fault
    who = f": {named(fault)}" if fault is not None and opinion.answer is Answer.GUILTY else ""
    console.print(Text.assemble("Finding: ", (opinion.answer.value, colour), plain(who)))
    lines = [opinion.detail]
    if fault is not None and fault.expected:
        lines += [f"expected {fault.expected}", f"found    {fault.actual}"]
    if opinion.judged.distances:
        worst = ", ".join(f"seat {seat} {value:.1e}" for seat, value in sorted(opinion.judged.distances.items()))
        lines.append(f"relative distance of committed and replayed end states: {worst}")
    print_lines(console, *(f"  {line}" for line in lines))


def print_challenge(console: Console, result: dict[str, Any]) -> None:
    """A challenge that was sent, or would be."""
    accused = result["accused"] if result["accused"] == "owner" else f"seat {result['accused']}"
    did, bond = "Challenged" if result["sent"] else "Would challenge", amount(result["bond_wei"], result["token"])
    lines = [f"{did} {accused} of job {result['job']}, ground {result['ground']}, bond {bond}"]
    lines.append(f"evidence:     {result['evidence_digest']}")
    if result["sent"]:
        lines.append(f"challenge id: {result['challenge_id']}")
        lines.append(f"The arbiter has until {_utc(result['deadline'])}")
    else:
        lines.append("Nothing was sent")
    print_lines(console, *lines)


def print_case(console: Console, case: dict[str, Any]) -> None:
    """The open challenge of a job."""
    rows = table(f"Challenge of job {case['job']}", "what", "value")
    passed = ", passed: job resolve" if case["deadline_passed"] else ""
    rows.add_row("challenge", case["challenge_id"])
    rows.add_row("accused", f"{case['accused']}, {case['holder']}")
    rows.add_row("ground", case["ground"])
    rows.add_row("challenger", f"{case['challenger']}, bond {amount(case['bond_wei'], case['token'])}")
    rows.add_row("round", str(case["round"]))
    rows.add_row("evidence", case["evidence_digest"])
    rows.add_row("", case["evidence"])
    if case["rule_after"]:
        rows.add_row("may be cured until", _utc(case["rule_after"]))
    rows.add_row("rule until", f"{_utc(case['deadline'])}{passed}")
    console.print(rows)
    if "is_the_evidence" in case:
        console.print(f"The file {'is' if case['is_the_evidence'] else 'is NOT'} the evidence that the challenge names")


def print_ruling(console: Console, result: dict[str, Any], judgement: Judgement | None) -> None:
    """A ruling or a vote, and what the evidence showed."""
    if judgement is not None:
        _print_opinion(console, judgement.opinion)
    did = "Ruled" if result["ruled"] else "Voted"
    words = f"{did} {'guilty' if result['guilty'] else 'not guilty'} in job {result['job']}, now {result['phase']}"
    print_lines(console, f"{words}; block {result['block']}, {result['gas_used']:,} gas")


def _utc(seconds: int) -> str:
    """A time of the chain, for people."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
