"""Let torchvision be imported beside a torch build that it was not compiled for.

`clean-fid` and diffusers' models import torchvision. Next to a CPU build of torch, pip installs a torchvision built for
CUDA, whose compiled operators do not load; its import then stops at "operator torchvision::nms does not exist".
Nothing here calls these operators, so declaring their schemas is enough. Does nothing where they load.
"""

import torch


def _declare_missing_operators() -> torch.library.Library | None:
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


LIBRARY = _declare_missing_operators()  # kept: a Library that is garbage-collected takes its operators along
