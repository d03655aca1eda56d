"""The kernels of ``portable/1``: every operation of a programme, by name.

Not its job: to check shapes and attributes, which is done before a programme runs.
"""

from collections.abc import Mapping

from clicooper.learning.portable.convolution import conv2d, conv2d_input_grad, conv2d_weight_grad
from clicooper.learning.portable.free import FREE, Kernel
from clicooper.learning.portable.functions import FUNCTIONS
from clicooper.learning.portable.pooling import avg_pool2d, avg_pool2d_grad, max_pool2d, max_pool2d_grad
from clicooper.learning.portable.products import matmul
from clicooper.learning.portable.scatter import add_rows
from clicooper.learning.portable.softmax import log_softmax, log_softmax_grad, softmax, softmax_grad
from clicooper.learning.portable.sums import mean, normalise, normalise_grad, sum_over

__all__ = ["PORTABLE"]

PORTABLE: Mapping[str, Kernel] = {
    **FREE,
    **FUNCTIONS,
    "matmul": matmul,
    "sum": sum_over,
    "mean": mean,
    "add_rows": add_rows,
    "normalise": normalise,
    "normalise_grad": normalise_grad,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "softmax_grad": softmax_grad,
    "log_softmax_grad": log_softmax_grad,
    "conv2d": conv2d,
    "conv2d_input_grad": conv2d_input_grad,
    "conv2d_weight_grad": conv2d_weight_grad,
    "max_pool2d": max_pool2d,
    "max_pool2d_grad": max_pool2d_grad,
    "avg_pool2d": avg_pool2d,
    "avg_pool2d_grad": avg_pool2d_grad,
}
"""Operation to kernel."""
