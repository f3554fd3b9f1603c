"""What a chat model can do, as LangChain's `ModelProfile`, by which agents choose their strategy."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from langchain_core.language_models import ModelProfile

from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import carries_pdf_results, efforts_of, takes


@lru_cache(maxsize=1024)
def model_profile(model: str) -> ModelProfile | None:
    """The profile of a model; None if the model is not known. The result is shared: copy it before changing it."""
    known = profile_of(model)
    if not known.known:
        return None
    profile = ModelProfile(
        max_input_tokens=known.max_input,
        text_inputs=True,
        image_inputs="image" in known.inputs,
        image_url_inputs="image_url" in known.inputs,
        pdf_inputs="pdf" in known.inputs,
        audio_inputs="audio" in known.inputs,
        video_inputs=False,  # no format carries video
        image_tool_message=known.tools and "image" in known.inputs,
        pdf_tool_message=known.tools and "pdf" in known.inputs and carries_pdf_results(model),
        text_outputs=True,
        image_outputs=False,
        audio_outputs=False,
        video_outputs=False,
        attachment=not known.inputs.isdisjoint({"image", "pdf"}),
        temperature=takes(model, "temperature"),
        reasoning_output=known.reasoning,
        tool_calling=known.tools,
        tool_choice=known.tool_choice,
        tool_call_streaming=known.tools,
        # Otherwise agents would force a tool, which such a model refuses.
        structured_output=known.structured_output or (known.tools and not known.tool_choice),
    )
    if known.max_output is not None:
        profile["max_output_tokens"] = known.max_output
    if known.reasoning and (efforts := efforts_of(model)):
        profile["reasoning_effort_levels"] = list(efforts)
    # Older versions of core declare fewer keys, and warn of all others.
    return cast("ModelProfile", {key: value for key, value in profile.items() if key in ModelProfile.__annotations__})
