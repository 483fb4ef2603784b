"""A step over tensors that stay where they are: on a CUDA device its kernels are captured once and launched together from then on."""

from collections.abc import Callable

import torch


def captured(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """`step` as it is, or on a CUDA device a graph of it, replayed: nothing in it may wait for the device or depend on the host but by those tensors.

    There it is run three times before this returns: what it writes must not matter yet.
    """
    if device.type != "cuda":
        return step
    with torch.cuda.device(device):  # else streams and graph are the first device's, and kernels elsewhere are not captured
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):  # other threads, such as those that pin memory, may go on
            step()

    def replay() -> None:
        with torch.cuda.device(device):
            graph.replay()

    return replay
