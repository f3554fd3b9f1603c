"""What a chat model can do, told in LangChain's words, so that agents choose their strategy and know its window.

Knows LangChain's profiles and when they are read; what each model can do is `gateway.profiles`' to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Self

from langchain_core.language_models import ModelProfile
from langchain_core.language_models.chat_models import BaseChatModel
from pydantic import model_validator

from cfaig_integrations.adapters.fields import ChatFields
from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import carries_pdf_results

__all__ = ["Profiled", "model_profile"]


@lru_cache(maxsize=1024)
def model_profile(model: str) -> ModelProfile | None:
    """The profile of a model, or None if nothing is known of it. Everybody's: to be copied before it is given away.

    Args:
        model: Model id; any text will do.
    """
    known = profile_of(model)
    if not known.known:
        return None
    made = ModelProfile(
        max_input_tokens=known.max_input,
        text_inputs=True,
        image_inputs="image" in known.inputs,
        image_url_inputs="image_url" in known.inputs,
        pdf_inputs="pdf" in known.inputs,
        audio_inputs="audio" in known.inputs,
        video_inputs=False,  # no wire carries films
        image_tool_message=known.tools and "image" in known.inputs,
        pdf_tool_message=known.tools and "pdf" in known.inputs and carries_pdf_results(model),
        text_outputs=True,
        reasoning_output=known.reasoning,
        tool_calling=known.tools,
        tool_choice=known.tool_choice,
        tool_call_streaming=known.tools,
        # Without it agents would force a tool, which such a model refuses.
        structured_output=known.structured_output or (known.tools and not known.tool_choice),
    )
    if known.max_output is not None:
        made["max_output_tokens"] = known.max_output
    return made


class Profiled(ChatFields, BaseChatModel):
    """A chat model that knows what it can do. A `profile` given to the constructor goes before what is known here."""

    def _resolve_model_profile(self) -> ModelProfile | None:
        known = model_profile(self.model)
        return None if known is None else known.copy()

    # Core's validators of these names would take longer than all the rest of making a model object: one assigns as a
    # user does, and the other reads the annotations of its TypedDict anew (langchain-core 1.6 to 1.7).
    @model_validator(mode="after")
    def _set_model_profile(self) -> Self:
        fields = vars(self)
        if fields["profile"] is None:
            fields["profile"] = self._resolve_model_profile()
        return self

    @model_validator(mode="after")
    def _check_profile_keys(self) -> Self:
        """Core's own, for a profile that somebody wrote."""
        check = getattr(super(), "_check_profile_keys", None)
        return self if check is None or "profile" not in self.model_fields_set else check()

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name == "model":
            self._profile_anew()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; of another model, it has the other's profile."""
        copied = super().model_copy(update=update, deep=deep)
        if copied.model != self.model:
            copied._profile_anew()
        return copied

    def _profile_anew(self) -> None:
        if "profile" not in self.model_fields_set:
            vars(self)["profile"] = self._resolve_model_profile()
