"""Objects of pydantic classes made without validation, for the many that a stream needs.

A chunk or a response costs several times as much through its constructor as everything else of it. Tests compare both.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from pydantic import BaseModel

_Model = TypeVar("_Model", bound=BaseModel)

_new = object.__new__
# The slots of every model; assigning by their names would look each of them up.
_slots: dict[str, Any] = dict(BaseModel.__dict__)
_set_values = _slots["__dict__"].__set__
_set_names = _slots["__pydantic_fields_set__"].__set__
_set_extra = _slots["__pydantic_extra__"].__set__
_set_private = _slots["__pydantic_private__"].__set__


class Template(Generic[_Model]):
    """Makes objects as their constructor would from the same fields.

    Args:
        sample: A constructed object: its values are the defaults, and its fields that are set are those of each object.
    """

    __slots__ = ("_class", "_names", "_values", "_with_extra")

    def __init__(self, sample: _Model) -> None:
        self._class = type(sample)
        self._values = dict(sample.__dict__)
        self._names = set(sample.model_fields_set)
        self._with_extra = sample.model_extra is not None

    def make(self, **values: Any) -> _Model:
        """An object with these values; a list or a dict that is not among them is the sample's own."""
        made = _new(self._class)
        _set_values(made, self._values | values)
        _set_names(made, self._names.copy())
        _set_extra(made, {} if self._with_extra else None)
        _set_private(made, None)
        return made
