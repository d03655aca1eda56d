"""What an installation without extras can do: audit. And what it says where it lacks something."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest

from clicooper.cli.main import main
from clicooper.errors import UsageError
from clicooper.extras import extra

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DISTRIBUTIONS = packages_distributions()
WHOLLY_OF_AN_EXTRA = ("clicooper/attacks/", "clicooper/chain/rpc/embedded.py", "clicooper/storage/ipfs/transport.py")
"""Modules that are imported under ``extra`` alone."""


def plain(requirement):
    return re.split(r"[\[<>=!~; ]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def installed_with(names):
    """Distributions that come with these, their own requirements included, without extras."""
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [plain(one) for one in requires(name) or () if "extra ==" not in one and ";" not in one]
    return found


def module_file(name):
    path = ROOT / name.replace(".", "/")
    return next((one for one in (path / "__init__.py", path.with_suffix(".py")) if one.exists()), None)


def imports(path, *, lazy_too):
    """Modules that a file imports, but for type checkers and under ``extra``."""
    found = set()

    def visit(node):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            if isinstance(child, ast.With) and "id='extra'" in ast.dump(child.items[0]):
                continue
            if isinstance(child, ast.FunctionDef) and not lazy_too:
                continue
            if isinstance(child, ast.Import):
                found.update(name.name for name in child.names)
            elif isinstance(child, ast.ImportFrom):
                found.update({child.module, *(f"{child.module}.{name.name}" for name in child.names)})
            visit(child)

    visit(ast.parse(path.read_text()))
    return found


def reached(start):
    """Files that an import of ``start`` runs, and the packages of others that it needs."""
    files, others, waiting = set(), set(), [start]
    while waiting:
        name = waiting.pop()
        path = module_file(name)
        if name.split(".")[0] != "clicooper":
            others.add(name.split(".")[0])
        elif path is not None and path not in files:
            files.add(path)
            # What a command imports while it runs counts as well.
            waiting += imports(path, lazy_too="cli" in path.parts)
            waiting += [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
    return files, others - set(sys.stdlib_module_names)


def test_an_audit_needs_no_extra():
    files, packages = reached("clicooper.cli.audit")
    assert {"auditor.py", "models.py", "ipfs_store.py"} <= {path.name for path in files}
    base = installed_with(map(plain, PROJECT["dependencies"]))
    distributions = DISTRIBUTIONS
    missing = {name for name in packages if not {plain(one) for one in distributions[name]} & base}
    assert {"torch", "numpy", "web3"} - packages <= {"web3"}
    assert missing == set()


def test_modules_import_extras_under_their_name_alone():
    """At the top of a module there is none, but for modules that belong to an extra as a whole."""
    extras = {name for group in PROJECT["optional-dependencies"].values() for name in map(plain, group)}
    extras -= installed_with(map(plain, PROJECT["dependencies"]))
    distributions = DISTRIBUTIONS
    for path in (ROOT / "clicooper").rglob("*.py"):
        if path.relative_to(ROOT).as_posix().startswith(WHOLLY_OF_AN_EXTRA):
            continue
        for name in imports(path, lazy_too=False):
            assert not {plain(one) for one in distributions.get(name.split(".")[0], ())} & extras, (path, name)


def test_all_has_every_extra_that_is_not_for_development():
    groups = PROJECT["optional-dependencies"]
    (everything,) = groups["all"]
    assert set(re.findall(r"\w+", everything)) - {"clicooper"} == set(groups) - {"all", "dev"}
    assert groups["dev"][0] == "clicooper[all]"


@pytest.mark.parametrize("name", ["evaluate", "embedded", "ipfs", "report", "cluster", "contracts"])
def test_an_absent_extra_is_named(name):
    with pytest.raises(UsageError, match="package absent_package, which is not installed") as caught, extra(name):
        import absent_package  # noqa: F401
    assert caught.value.hint == f"pip install 'clicooper[{name}]'"


def test_an_error_inside_an_extra_passes_through():
    with pytest.raises(ZeroDivisionError), extra("report"):
        raise ZeroDivisionError


def test_a_report_without_its_library_is_refused_before_the_work(monkeypatch, tmp_path, capsys):
    """Not after hours of replay: the run folder does not even exist."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["audit", str(tmp_path / "absent"), "--report", str(tmp_path / "report.html")]) == UsageError.exit_code
    assert "clicooper[report]" in capsys.readouterr().err
