"""The status of an exception: out of memory in the words of each framework."""

import pytest

from bench.core.case import Case
from bench.core.errors import UnavailableError, UserError
from bench.worker.failures import failure, status_of
from tests.support import fakes


def raised(name: str, message: str) -> Exception:
    """An exception of a class of that name, as a framework that is not imported raises it."""
    error: Exception = type(name, (RuntimeError,), {})(message)
    return error


OUT_OF_MEMORY = {
    "PyTorch": ("OutOfMemoryError", "HIP device full. Tried to allocate 9.00 GiB."),
    "PyTorch, CUDA's own": ("AcceleratorError", "CUDA error: out of memory"),
    "PyTorch, cuBLAS": (
        "RuntimeError",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ),
    "PyTorch, cuBLAS on a full card": (
        "RuntimeError",
        "CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`",
    ),
    "TensorFlow, a copy to a full card": ("InternalError", "Dst tensor is not initialized."),
    "PyTorch, cuDNN": ("RuntimeError", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "PyTorch, Metal": ("RuntimeError", "MPS backend out of memory (MPS allocated: 9.00 GB)"),
    "PyTorch, CPU": ("RuntimeError", "DefaultCPUAllocator: can't allocate memory: you tried"),
    "PyTorch, Windows": ("RuntimeError", "DefaultCPUAllocator: not enough memory: you tried"),
    "torch.compile": ("InductorError", "OutOfMemoryError: CUDA out of memory. Tried to"),
    "TensorFlow": ("ResourceExhaustedError", "OOM when allocating tensor with shape[9,9]"),
    "TensorFlow, XLA": ("InternalError", "RESOURCE_EXHAUSTED: Failed to allocate request"),
    "JAX": ("JaxRuntimeError", "RESOURCE_EXHAUSTED: Failed to allocate request for 16.00GiB"),
    "JAX, driver": ("JaxRuntimeError", "INTERNAL: CUDA_ERROR_OUT_OF_MEMORY"),
    "XLA": ("XlaRuntimeError", "INTERNAL: Out of memory while trying to allocate 9 bytes."),
}


@pytest.mark.parametrize("where", OUT_OF_MEMORY)
def test_out_of_memory_is_known_in_the_words_of_each_framework(where: str) -> None:
    assert status_of(raised(*OUT_OF_MEMORY[where])) == "oom"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MemoryError(), "oom"),
        (UnavailableError("no CUDA graphs here"), "skipped"),
        (UserError("wrong weights"), "failed"),
        (raised("RuntimeError", "CUDA error: an illegal memory access was encountered"), "failed"),
        (raised("JaxRuntimeError", "FAILED_PRECONDITION: DNN library initialization"), "failed"),
    ],
)
def test_other_exceptions_have_the_status_of_their_kind(error: Exception, status: str) -> None:
    assert status_of(error) == status


def test_the_batch_is_named_where_memory_ran_out_and_nowhere_else() -> None:
    case: Case = fakes.case(device="cuda")
    found = failure(MemoryError("planted"), case)
    words = f"out of memory on cuda with batches of {case.batch_size}"
    assert found["status"] == "oom"
    assert words in found["error"]
    assert f"--batch-sizes {case.batch_size // 2}" in found["error"]
    assert words not in failure(ValueError("planted"), case)["error"]
    assert "batches" not in failure(MemoryError("planted"), None)["error"]


def test_a_users_mistake_is_one_line_and_any_other_error_has_its_traceback() -> None:
    assert failure(UserError("wrong weights"), None)["error"] == "wrong weights"
    assert "ValueError: planted" in failure(ValueError("planted"), None)["error"]
