"""Mutation testing of the decision code (requirement F13): change one thing at a time; the tests have to notice.

    python -m tests.fuzz.mutation [MODULE...] [--jobs N] [--list]

Each mutant is one change in the syntax tree of one module: a comparison, an operator, a constant, a condition, a
default, a returned value, a statement that is left out. The unit and property tests of that module run in a
forked process in which the changed module takes the place of the real one; a mutant that they pass has survived.
Prints the survivors with their place, and exits 1 where less than 95 % were killed. Not a part of `make test`:
it takes some minutes. Writes no files.
"""

import argparse
import ast
import copy
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
MARK = 0.95
TIMEOUT_S = 120

UNIT, PROPERTY = "tests/unit/test_", "tests/property/test_"
SECRETS = f"{PROPERTY}secret_properties.py"
TESTS = {
    "engine": [f"{UNIT}engine.py", f"{UNIT}engine_matrix.py"],
    "policy": [f"{UNIT}policy.py", f"{UNIT}cutover_parsing.py"],
    "splitter": [f"{UNIT}splitter.py", SECRETS],
    "otp": [f"{UNIT}otp_vectors.py", f"{UNIT}otp_window.py", f"{UNIT}otp_uri.py", f"{PROPERTY}otp_properties.py"],
    "app_password": [f"{UNIT}app_password.py", f"{UNIT}alphabet.py", SECRETS],
    "recovery": [f"{UNIT}recovery.py", f"{UNIT}alphabet.py", SECRETS],
    "alphabet": [f"{UNIT}alphabet.py", f"{UNIT}app_password.py", f"{UNIT}recovery.py"],
    "services": [f"{UNIT}services.py", f"{UNIT}app_password.py"],
    "names": [f"{UNIT}names.py", f"{PROPERTY}name_properties.py"],
    "texts": [f"{UNIT}texts.py"],
    "protocol": [
        f"{UNIT}protocol_conversations.py",
        f"{UNIT}protocol_limits.py",
        f"{UNIT}protocol_replies.py",
        f"{PROPERTY}protocol_properties.py",
    ],
}
DECIDING = ("engine", "policy", "splitter", "otp", "app_password")

COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.RShift: ast.LShift,
}


class Mutant(NamedTuple):
    """One change: of which module, where, in words, and the changed source."""

    module: str
    line: int
    change: str
    source: str


def mutants(module: str) -> Iterator[Mutant]:
    """Yield every change of a module."""
    tree = ast.parse((ROOT / f"mailauth/core/{module}.py").read_text())
    # Annotations and docstrings mean nothing at run time, the words of errors nothing to the decision.
    silent = {id(node) for part in ast.walk(tree) for node in _silent(part)}
    nodes = list(ast.walk(tree))
    for number, node in enumerate(nodes):
        if id(node) in silent:
            continue
        for variant, words in enumerate(_changes(node)):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            _apply(changed, target, variant)
            yield Mutant(module, getattr(node, "lineno", 0), words, ast.unparse(ast.fix_missing_locations(changed)))


def _silent(node: ast.AST) -> Iterator[ast.AST]:
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.arg | ast.AnnAssign):
        parts.append(node.annotation)
    elif isinstance(node, ast.FunctionDef):
        parts.append(node.returns)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        parts.append(node)
    elif isinstance(node, ast.Raise):
        parts.append(node.exc)
    elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("assert_never", "dataclass", "lru_cache"):
        parts.append(node)
    elif isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Enum" for base in node.bases):
        parts += node.body  # the values are words for people
    for part in parts:
        if part is not None:
            yield from ast.walk(part)


def _changes(node: ast.AST) -> list[str]:
    """Return in words what can be changed about a node; `_apply` does it by the same order."""
    match node:
        case ast.Compare(ops=ops):
            return [f"{ast.unparse(node)}: {a.__name__}" for a in COMPARISONS[type(ops[0])]]
        case ast.BoolOp(op=op):
            other = "or" if isinstance(op, ast.And) else "and"
            return [f"{ast.unparse(node)}: {other}"]
        case ast.UnaryOp(op=ast.Not()):
            return [f"{ast.unparse(node)}: without not"]
        case ast.BinOp(left=left, op=op) if type(op) in OPERATORS and not _is_union(left, op):
            return [f"{ast.unparse(node)}: {OPERATORS[type(op)].__name__}"]
        case ast.Constant(value=bool() as value):
            return [f"{value}: {not value}"]
        case ast.Constant(value=int() as value):
            return [f"{value}: {value + 1}", f"{value}: {value - 1}"]
        case ast.Constant(value=str() as value):
            return [f"{value!r}: changed"] if value else []
        case ast.Constant(value=bytes() as value):
            return [f"{value!r}: changed"]
        case ast.If() | ast.IfExp() | ast.While():
            return [f"if {ast.unparse(node.test)}: always", f"if {ast.unparse(node.test)}: never"]
        case ast.Return(value=value) if value is not None and ast.unparse(value) != "None":
            return [f"return {ast.unparse(value)}: return None"]
        case ast.Attribute(value=ast.Name(id="WhyGranted" | "WhyDenied" | "Credential" | "Requirement")):
            return [f"{ast.unparse(node)}: another"]
        case ast.Raise():
            return [f"{ast.unparse(node)}: left out"]
        case _:
            return []


def _is_union(left: ast.expr, op: ast.operator) -> bool:
    """Tell whether this is `OneType | AnotherType`, which means nothing at run time."""
    return isinstance(op, ast.BitOr) and ast.unparse(left)[0].isupper()


ANOTHER = {
    "WhyGranted": "REMEMBERED",
    "WhyDenied": "NOT_TOLD",
    "Credential": "APP_PASSWORD",
    "Requirement": "ENROLMENT",
}


def _apply(tree: ast.Module, node: ast.AST, variant: int) -> None:
    match node:
        case ast.Compare():
            node.ops[0] = COMPARISONS[type(node.ops[0])][variant]()
        case ast.BoolOp():
            node.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.UnaryOp():
            _replace(tree, node, node.operand)
        case ast.BinOp():
            node.op = OPERATORS[type(node.op)]()
        case ast.Constant(value=bool() as value):
            node.value = not value
        case ast.Constant(value=int() as value):
            node.value = value + (1, -1)[variant]
        case ast.Constant(value=str() as value):
            node.value = value[:-1] + ("Y" if value[-1] == "X" else "X")
        case ast.Constant(value=bytes() as value):
            node.value = value + b"X"
        case ast.If() | ast.IfExp() | ast.While():
            node.test = ast.Constant((True, False)[variant])
        case ast.Return():
            node.value = ast.Constant(None)
        case ast.Attribute(value=ast.Name(id=name), attr=attr):
            other = ANOTHER[name]
            node.attr = other if attr != other else "SECOND_FACTOR"
        case ast.Raise():
            _replace(tree, node, ast.Pass())


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, name, new)
            elif isinstance(value, list):
                value[:] = [new if item is old else item for item in value]


def is_killed(mutant: Mutant) -> bool:
    """Run the module's tests against a mutant in a forked process; tell whether they notice."""
    child = os.fork()
    if child == 0:
        try:
            code = _run(mutant)
        except BaseException:
            code = 1
        os._exit(0 if code == 0 else 1)
    ends_at = time.monotonic() + TIMEOUT_S
    while time.monotonic() < ends_at:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    print(f"hangs mailauth/core/{mutant.module}.py:{mutant.line}: {mutant.change}", flush=True)
    return True  # which no test suite overlooks


def _run(mutant: Mutant) -> int:
    import pytest

    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.environ["MAILAUTH_EXAMPLES"] = "30"
    name = f"mailauth.core.{mutant.module}"
    path = ROOT / f"mailauth/core/{mutant.module}.py"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(compile(mutant.source, str(path), "exec"), module.__dict__)
    words = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--no-header", "--hypothesis-seed=0"]
    return int(pytest.main([*words, *TESTS[mutant.module]]))


def main() -> int:
    """Run the mutants of the given modules."""
    parser = argparse.ArgumentParser(description="Mutation testing of the decision code.")
    parser.add_argument("modules", nargs="*", default=DECIDING, help=f"of {', '.join(TESTS)}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="only say which mutants there are")
    options = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    # Imported once, before the forks; nothing of ours, which would go on with the unchanged module.
    for heavy in ("alembic.config", "argon2", "cryptography.hazmat.primitives.ciphers.aead", "idna", "pydantic",
                  "pyotp", "pytest", "sqlalchemy", "tomlkit"):  # fmt: skip
        importlib.import_module(heavy)

    total = killed = 0
    for module in options.modules:
        found = list(mutants(module))
        if options.list:
            for mutant in found:
                print(f"mailauth/core/{module}.py:{mutant.line}: {mutant.change}")
            continue
        if is_killed(Mutant(module, 0, "nothing", (ROOT / f"mailauth/core/{module}.py").read_text())):
            print(f"{module}: the tests fail without any change", flush=True)
            return 2
        with ThreadPoolExecutor(options.jobs) as pool:
            outcomes = list(pool.map(is_killed, found))
        for mutant, dead in zip(found, outcomes, strict=True):
            if not dead:
                print(f"survived mailauth/core/{module}.py:{mutant.line}: {mutant.change}", flush=True)
        print(f"{module}: {sum(outcomes)} of {len(found)} killed", flush=True)
        total += len(found)
        killed += sum(outcomes)
    if options.list:
        return 0
    rate = killed / total
    print(f"all: {killed} of {total} killed, {rate:.1%}")
    return 0 if rate >= MARK else 1


if __name__ == "__main__":
    sys.exit(main())
