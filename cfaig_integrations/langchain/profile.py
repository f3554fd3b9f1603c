"""What a chat model can do, as LangChain's `ModelProfile`, by which agents choose their strategy."""

from __future__ import annotations

from functools import lru_cache
from typing import cast

from langchain_core.language_models import ModelProfile

from cfaig_integrations.gateway.models.profiles import profile_of
from cfaig_integrations.gateway.models.routes import carries_pdf_results, efforts_of, takes


@lru_cache(maxsize=1024)
def model_profile(model: str) -> ModelProfile | None:
    """The profile of a model; None if the table has no such model. The result is shared: copy it before changing it."""
    profile = profile_of(model)
    if not profile.is_listed:
        return None
    result = ModelProfile(
        max_input_tokens=profile.max_input,
        text_inputs=True,
        image_inputs="image" in profile.inputs,
        image_url_inputs="image_url" in profile.inputs,
        pdf_inputs="pdf" in profile.inputs,
        audio_inputs="audio" in profile.inputs,
        video_inputs=False,  # no format carries video
        image_tool_message=profile.tools and "image" in profile.inputs,
        pdf_tool_message=profile.tools and "pdf" in profile.inputs and carries_pdf_results(model),
        text_outputs=True,
        image_outputs=False,
        audio_outputs=False,
        video_outputs=False,
        attachment=not profile.inputs.isdisjoint({"image", "pdf"}),
        temperature=takes(model, "temperature"),
        reasoning_output=profile.reasoning,
        tool_calling=profile.tools,
        tool_choice=profile.tool_choice,
        tool_call_streaming=profile.tools,
        # Otherwise agents would force a tool, which such a model refuses.
        structured_output=profile.structured_output or (profile.tools and not profile.tool_choice),
    )
    if profile.max_output is not None:
        result["max_output_tokens"] = profile.max_output
    if profile.reasoning and (efforts := efforts_of(model)):
        result["reasoning_effort_levels"] = list(efforts)
    # Older versions of core declare fewer keys, and warn of all others.
    return cast("ModelProfile", {key: value for key, value in result.items() if key in ModelProfile.__annotations__})
