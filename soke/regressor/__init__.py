"""Text to poses, frame by frame and without codes: Progressive Transformers and what is built on them."""

from soke.lazy import lazy

_HOMES = {
    "PoseRegressor": "soke.regressor.regressor",
    "RegressorProducer": "soke.regressor.producer",
}
__all__ = list(_HOMES)
__getattr__ = lazy(__name__, _HOMES)
