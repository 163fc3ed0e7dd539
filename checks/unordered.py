"""Finds places where the order of a set decides something: loops, comprehensions, list(), tuple(), join, unpacking."""

import ast
from collections.abc import Iterable, Iterator

SETS = {"set", "frozenset", "Set", "AbstractSet", "FrozenSet", "MutableSet"}
# These forget the order of what they are given.
ORDER_FREE = {"sorted", "set", "frozenset", "any", "all", "sum", "min", "max", "len"}
ORDERED = {"list", "tuple", "iter", "enumerate", "zip", "map", "filter", "reversed", "next", "deque", "dict"}
SET_METHODS = {"union", "intersection", "difference", "symmetric_difference"}
TEXT = "iterates a set: its order differs from run to run; wrap it in sorted()"

Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.Module | ast.Lambda


def unordered(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and text of every place that depends on a set's order, as far as one file shows what is a set."""
    for scope in ast.walk(tree):
        if isinstance(scope, Scope):
            nodes = list(own_nodes(scope))
            sets = set_names(scope, nodes)
            free = {id(argument) for node in nodes for argument in order_free_arguments(node)}
            for node in nodes:
                for iterated in iterations(node, free):
                    if is_set(iterated, sets):
                        yield iterated.lineno, TEXT


def own_nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Everything in a scope, without the bodies of the functions inside it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, Scope):
            yield from own_nodes(child)


def set_names(scope: ast.AST, nodes: Iterable[ast.AST]) -> set[str]:
    """Names that hold nothing but sets in this scope: annotated so, or only ever assigned sets."""
    found, other = set[str](), set[str]()
    for node in nodes:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            (found if is_set_type(node.annotation) else other).add(node.target.id)
        elif isinstance(node, ast.Assign):
            targets = [target.id for target in node.targets if isinstance(target, ast.Name)]
            (found if is_set(node.value, found) else other).update(targets)
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        arguments = (*scope.args.posonlyargs, *scope.args.args, *scope.args.kwonlyargs)
        found |= {argument.arg for argument in arguments if argument.annotation and is_set_type(argument.annotation)}
    return found - other


def is_set_type(annotation: ast.expr) -> bool:
    """Whether an annotation is a set type."""
    if isinstance(annotation, ast.Subscript):
        return is_set_type(annotation.value)
    name = annotation.id if isinstance(annotation, ast.Name) else getattr(annotation, "attr", None)
    return name in SETS


def is_set(node: ast.expr, names: set[str]) -> bool:
    """Whether an expression is a set, as far as it shows."""
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr | ast.BitAnd | ast.Sub | ast.BitXor):
        # The keys of a dict are ordered, what two of them have in common is not.
        return any(is_set(side, names) or is_view(side) for side in (node.left, node.right))
    if isinstance(node, ast.IfExp):
        return is_set(node.body, names) or is_set(node.orelse, names)
    if isinstance(node, ast.Call):
        return is_set_type(node.func) or is_set_method(node.func, names)
    return isinstance(node, ast.Set | ast.SetComp)


def is_set_method(called: ast.expr, names: set[str]) -> bool:
    """Whether a call such as `one.union(other)` makes a set."""
    return isinstance(called, ast.Attribute) and called.attr in SET_METHODS and is_set(called.value, names)


def is_view(node: ast.expr) -> bool:
    """Whether this is `x.keys()` or `x.items()`."""
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"keys", "items"}


def iterations(node: ast.AST, free: set[int]) -> Iterator[ast.expr]:
    """The expressions whose order this node passes on."""
    if isinstance(node, ast.For | ast.AsyncFor):
        yield node.iter
    elif isinstance(node, ast.ListComp | ast.GeneratorExp | ast.DictComp) and id(node) not in free:
        yield from (generator.iter for generator in node.generators)
    elif isinstance(node, ast.YieldFrom):
        yield node.value
    elif isinstance(node, ast.List | ast.Tuple):
        yield from (item.value for item in node.elts if isinstance(item, ast.Starred))
    elif isinstance(node, ast.Call):
        yield from ordered_arguments(node)


def ordered_arguments(call: ast.Call) -> list[ast.expr]:
    """Arguments of a call that keeps their order."""
    if isinstance(call.func, ast.Name) and call.func.id in ORDERED:
        return call.args
    if isinstance(call.func, ast.Attribute) and call.func.attr in {"join", "extend", "executemany", "fromkeys"}:
        return call.args
    return [argument.value for argument in call.args if isinstance(argument, ast.Starred)]


def order_free_arguments(node: ast.AST) -> list[ast.expr]:
    """Arguments of a call that forgets their order."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ORDER_FREE:
        return node.args
    return []
