"""What the sources of portable arithmetic must not call, told from their syntax trees.

On a GPU, or with another library, each of these gives other bits: docs/arithmetic.md, "What is not called".
"""

import ast
from collections.abc import Collection, Iterator, Mapping

__all__ = ["broken_rules"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


FUSED = _words(
    "addcmul addcdiv addmm addmv addbmm baddbmm addr lerp rsqrt pow float_power hypot logaddexp fma einsum tensordot "
    "compile autocast frexp ldexp scalbn xlogy"
)
SUMS = _words(
    "sum nansum mean nanmean var std var_mean std_mean norm vector_norm softmax log_softmax logsumexp cumsum cumprod "
    "prod matmul mm bmm mv dot vdot inner outer baddbmm linear bilinear conv1d conv2d conv3d avg_pool2d cdist trace "
    "index_add scatter_add scatter_reduce index_reduce segment_reduce index_put put bincount layer_norm batch_norm "
    "group_norm cross_entropy nll_loss embedding_bag"
)
FUNCTIONS = _words(
    "exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan atan2 sinh cosh tanh erf erfc erfinv sigmoid "
    "logit gelu silu softplus lgamma sqrt cbrt reciprocal logsigmoid mish elu selu"
)
WHOLE_NUMBERS = _words("inf nan pi prod isqrt isnan isfinite isinf copysign ceil floor gcd comb factorial")
"""Of ``math``: what rounds nothing."""

OWN_MODULES = frozenset({"elementary", "functions", "softmax", "sums", "products", "grid", "scatter"})

Allowed = Mapping[str, Collection[str]]


def broken_rules(source: str, allowed: Allowed | None = None) -> list[str]:
    """The lines of a module that break a rule.

    Args:
        source: of the module.
        allowed: by function name, the calls that it may make: where the numbers lie on grids.

    Returns:
        one text for each, "line: what".
    """
    return [f"{line}: {what}" for line, what in sorted(_walk(ast.parse(source), {}, (), allowed or {}))]


def _walk(
    node: ast.AST, kinds: Mapping[str, str], calls: Collection[str], allowed: Allowed
) -> Iterator[tuple[int, str]]:
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        kinds = {**kinds, **{a.arg: ast.unparse(a.annotation) for a in arguments if a.annotation}}
        calls = allowed.get(node.name, calls)
    for what in _broken(node, kinds, calls):
        yield getattr(node, "lineno", 0), what
    for child in ast.iter_child_nodes(node):
        yield from _walk(child, kinds, calls, allowed)


def _broken(node: ast.AST, kinds: Mapping[str, str], calls: Collection[str]) -> Iterator[str]:
    if isinstance(node, ast.BinOp | ast.AugAssign):
        yield from _broken_operator(node, kinds, calls)
    elif isinstance(node, ast.Call):
        yield from _broken_call(node, kinds)
    if isinstance(node, ast.Attribute):
        yield from _broken_name(node, calls)
    elif isinstance(node, ast.ImportFrom) and node.module in ("math", "torch", "torch.nn.functional"):
        refused = FUSED | SUMS | FUNCTIONS
        yield from (f"imports {a.name}" for a in node.names if a.name in refused)


def _broken_operator(
    node: ast.BinOp | ast.AugAssign, kinds: Mapping[str, str], calls: Collection[str]
) -> Iterator[str]:
    left, right = (node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)
    if isinstance(node.op, ast.Div) and _is_number(right, kinds) and not _is_number(left, kinds):
        yield "divides by a Python number"
    if isinstance(node.op, ast.Pow) and not (_is_number(left, kinds) and isinstance(right, ast.Constant | ast.UnaryOp)):
        yield "raises to a power"
    if isinstance(node.op, ast.MatMult) and "matmul" not in calls:
        yield "multiplies matrices outside their grids"


def _broken_call(node: ast.Call, kinds: Mapping[str, str]) -> Iterator[str]:
    yield from (f"passes {k.arg}=" for k in node.keywords if k.arg in ("alpha", "beta"))
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    divides = name.rstrip("_") in ("div", "divide", "true_divide", "floor_divide", "remainder")
    if divides and node.args and _is_number(node.args[-1], kinds):
        yield "divides by a Python number"


def _broken_name(node: ast.Attribute, calls: Collection[str]) -> Iterator[str]:
    base = node.value.id if isinstance(node.value, ast.Name) else ""
    name = node.attr.rstrip("_")
    if base == "math":
        if node.attr not in WHOLE_NUMBERS:
            yield f"takes math.{node.attr}"
    elif base not in OWN_MODULES and name not in calls:
        if name in FUSED or node.attr.startswith("_foreach"):
            yield f"calls {node.attr}"
        elif name in SUMS:
            yield f"adds by {node.attr} outside its grids"
        elif name in FUNCTIONS:
            yield f"takes a library's {node.attr}"


def _is_number(node: ast.expr, kinds: Mapping[str, str]) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float)
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand, kinds)
    if isinstance(node, ast.BinOp):
        return _is_number(node.left, kinds) and _is_number(node.right, kinds)
    if isinstance(node, ast.Name):
        return node.id.isupper() or kinds.get(node.id) in ("int", "float")
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        return (
            name in ("float", "int", "len", "max", "min", "round")
            or name.startswith("math.")
            or name.endswith(".numel")
        )
    return isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith(".shape")
