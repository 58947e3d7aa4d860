"""What is said in one place only: where the layers do not tell, a look at the source does."""

import ast
import re
from collections import defaultdict
from pathlib import Path

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "mailauth"
STORE = PACKAGE / "effects" / "store"
KINDS = re.compile(r"sqlite|postgres|mariadb|mysql", re.IGNORECASE)
MAY_NAME_A_KIND = (STORE / "dialects", STORE / "migrations", PACKAGE / "effects" / "configuration")
"""And `tables.py`, where SQLAlchemy's own words for one kind's options have to stand; `scratch.py` is no store."""
OF_PROVIDERS = {
    "effects/sources/sql.py",
    "effects/sources/sql_databases.py",
    "effects/sources/sql_presets.py",
    "effects/imports/panels.py",
}
"""The databases that providers have: theirs, not mailauth's own store."""
MAY_SHARE_A_NAME: set[str] = set()
"""One in the portal's set-up, one in the command line's enrolment, which are still two (decision 14)."""


def modules() -> list[Path]:
    found = sorted(PACKAGE.rglob("*.py"))
    assert len(found) > 100
    return found


def code(file: Path) -> str:
    """Return a module without its documentation: names, strings and all else that runs."""
    tree = ast.parse(file.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_docstring(one)] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def test_no_kind_of_database_is_named_outside_its_dialect() -> None:
    named = {
        str(file.relative_to(PACKAGE))
        for file in modules()
        if not file.is_relative_to(MAY_NAME_A_KIND[0])
        and not any(file.is_relative_to(place) for place in MAY_NAME_A_KIND)
        and KINDS.search(code(file))
    }
    assert named - OF_PROVIDERS == {"effects/store/tables.py", "effects/scratch.py"}


def test_errors_of_sqlalchemy_stay_in_the_store() -> None:
    names = re.compile(r"sqlalchemy\.exc|IntegrityError|DBAPIError|SQLAlchemyError|OperationalError")
    found = {
        str(file.relative_to(PACKAGE))
        for file in modules()
        if not file.is_relative_to(STORE) and names.search(code(file))
    }
    assert found <= OF_PROVIDERS


def test_transactions_are_jobs() -> None:
    held = re.compile(r"with .*\.(writing|reading|begin|begin_nested)\(")
    found = {str(file.relative_to(PACKAGE)) for file in modules() if held.search(code(file))}
    assert found - OF_PROVIDERS == {"effects/store/database.py", "effects/store/schema.py"}


def test_dates_of_the_cutover_are_the_policys() -> None:
    """Everybody else asks how an account stands, or what is announced to a domain."""
    held = re.compile(r"CutOver\b|parse_cutover|\._cutover\b|policy\.cutover")
    found = {str(file.relative_to(PACKAGE)) for file in modules() if held.search(code(file))}
    assert found == {"core/policy.py", "effects/configuration/schema.py"}


def test_nothing_imports_a_test_module() -> None:
    """What several tests need stands in a module of its own, or one file's change breaks another's tests."""
    found = sorted(TESTS.rglob("*.py"))
    assert len(found) > 200
    importing = {
        (str(file.relative_to(TESTS)), name)
        for file in found
        for name in imported(file)
        if re.search(r"(?:^|\.)test_\w+", name)
    }
    assert importing == set()


def imported(file: Path) -> set[str]:
    """Return what a module imports, as `package.module` and `package.module.name`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module or ''}.{each.name}" for each in node.names}
    return found


def test_no_two_classes_share_a_name() -> None:
    """Whoever meets a class's name elsewhere, in an import or an error, knows which one it is."""
    places = defaultdict(list)
    for file in modules():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(file.relative_to(PACKAGE)))
    shared = {name: found for name, found in places.items() if len(found) > 1}
    assert set(shared) == MAY_SHARE_A_NAME, shared


def test_what_is_imported_from_mailauth_keeps_its_name() -> None:
    """A module or function that an importer has to rename has the wrong name, or stands for two things."""
    renamed = {
        f"{file.relative_to(PACKAGE)}: {node.module}.{alias.name} as {alias.asname}"
        for file in modules()
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mailauth"
        for alias in node.names
        if alias.asname is not None
    }
    assert renamed == set()
