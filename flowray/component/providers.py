"""Which variables the model providers of lfx 1.13 look up by name, without any field of a flow naming them."""

from __future__ import annotations

from collections.abc import Mapping

_VARIABLES: Mapping[str, tuple[str, ...]] = {
    "OpenAI": ("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "Anthropic": ("ANTHROPIC_API_KEY",),
    "Google Generative AI": ("GOOGLE_API_KEY",),
    "Ollama": ("OLLAMA_BASE_URL",),
    "Groq": ("GROQ_API_KEY",),
    "Azure OpenAI": ("AZURE_OPENAI_API_KEY",),
    "Azure AI Foundry": ("AZURE_AI_FOUNDRY_API_KEY", "AZURE_AI_FOUNDRY_ENDPOINT", "AZURE_AI_FOUNDRY_API_VERSION"),
    "IBM WatsonX": ("WATSONX_APIKEY", "WATSONX_PROJECT_ID", "WATSONX_URL"),
    "OpenRouter": ("OPENROUTER_API_KEY", "OPENROUTER_SITE_URL", "OPENROUTER_APP_NAME"),
}


def variables_of(provider: str) -> tuple[str, ...]:
    """The variables of a provider; of one that lfx does not know, the one that it would guess."""
    return _VARIABLES.get(provider) or (f"{provider.upper().replace(' ', '_')}_API_KEY",)
