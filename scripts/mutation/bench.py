"""A copy of contracts and tests in which the code of a contract can be exchanged. Judges no outcome and keeps none.

A mutant is compiled by a solcjs that stays loaded and put in the place of forge's artifact, where the tests look it up:
that spares forge's own compilation, nine tenths of the time.
"""

import json
import shutil
import subprocess
from pathlib import Path

from mutation.mutant import Mutant

__all__ = ["TOO_LONG", "Bench", "Compiler"]

CONTRACTS = ("CliCooper", "CliCooperLens", "Committee")
# In place of a test file; the whole suite takes about a second of one core.
TOO_LONG = "time"
TIMEOUT = 300


class Compiler:
    """The warm solcjs; compiles one contract with one source replaced."""

    def __init__(self, folder: Path) -> None:
        command = ["node", str(Path(__file__).with_name("solc_warm.js"))]
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def compile(self, target: str, sources: dict[str, str]) -> str | None:
        """Creation code in hex; None if the compiler refuses the sources."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("the compiler has no pipes")
        self._process.stdin.write(json.dumps({"sources": sources, "target": target}) + "\n")
        self._process.stdin.flush()
        answer: dict[str, str] = json.loads(self._process.stdout.readline())
        return answer.get("bytecode")

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.wait()


class Bench:
    """A copy of contracts and tests whose compiled contracts can be exchanged."""

    def __init__(self, root: Path, work: Path) -> None:
        self.folder = work / "tree"
        shutil.rmtree(self.folder, ignore_errors=True)
        for part in ("contracts", "tests/contract", "tests/vectors"):
            shutil.copytree(root / part, self.folder / part)
        (self.folder / "scripts").mkdir()
        for file in ("foundry.toml", "scripts/forge", "scripts/solc"):
            shutil.copy(root / file, self.folder / file)
        (self.folder / "node_modules").symlink_to(root / "node_modules")
        self._forge("build", check=True)
        self._compiler = Compiler(self.folder)
        self._original = {name: self._compiled(name) for name in CONTRACTS}
        for name, code in self._original.items():
            self._install(name, code)

    def source(self, path: str) -> bytes:
        """One source as it is."""
        return (self.folder / path).read_bytes()

    def changed(self, mutant: Mutant) -> dict[str, str] | None:
        """The contracts whose code this mutant changes, by name; None if one of them does not compile."""
        try:
            sources = {mutant.path: mutant.applied(self.source(mutant.path)).decode()}
        except UnicodeDecodeError:
            return None
        codes = {name: self._compiler.compile(_target(name), sources) for name in self._users(mutant.path)}
        compiled = {name: code for name, code in codes.items() if code is not None}
        if len(compiled) < len(codes):
            return None
        return {name: code for name, code in compiled.items() if code != self._original[name]}

    def killer(self, codes: dict[str, str], tests: list[str]) -> str | None:
        """The file of a test that fails on these codes, None if all pass; puts the original ones back."""
        try:
            for name, code in codes.items():
                self._install(name, code)
            return self.failing(tests)
        finally:
            for name in codes:
                self._install(name, self._original[name])

    def failing(self, tests: list[str]) -> str | None:
        """The file of a failing test, None if all pass; `TOO_LONG` if that took too long to tell."""
        try:
            run = self._forge("test", "--fail-fast", "--json", *tests)
        except subprocess.TimeoutExpired:
            return TOO_LONG
        if run.returncode == 0:
            return None
        suites = json.loads(run.stdout)
        failed = (s for s, ran in suites.items() for t in ran["test_results"].values() if t["status"] == "Failure")
        return Path(min(failed).split(":")[0]).name

    def close(self) -> None:
        """Ends the compiler."""
        self._compiler.close()

    def _users(self, path: str) -> tuple[str, ...]:
        own = Path(path).stem
        if own in CONTRACTS:
            return (own,)
        return ("CliCooper", "Committee") if "libraries/" in path else ("CliCooper",)

    def _compiled(self, name: str) -> str:
        code = self._compiler.compile(_target(name), {})
        if code is None:
            raise SystemExit(f"{name} does not compile")
        return code

    def _install(self, name: str, code: str) -> None:
        # forge looks at the sources to see what is stale, so a test's vm.getCode finds the code that is put here.
        place = self.folder / "build" / "mutate" / f"{name}.sol" / f"{name}.json"
        artifact = json.loads(place.read_text())
        artifact["bytecode"]["object"] = "0x" + code
        place.write_text(json.dumps(artifact))

    def _forge(self, *arguments: str, check: bool = False) -> subprocess.CompletedProcess[bytes]:
        command = [str(self.folder / "scripts" / "forge"), *arguments]
        return subprocess.run(command, cwd=self.folder, capture_output=True, timeout=TIMEOUT, check=check)


def _target(name: str) -> str:
    return f"contracts/{name}.sol:{name}"
