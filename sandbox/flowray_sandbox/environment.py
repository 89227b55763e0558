"""What components and lfx find in their environment; lfx reads its part when it is imported, so it is set before."""

from __future__ import annotations

# Whom TLS trusts inside the walls.
CERTIFICATES = "/etc/ssl/cert.pem"

LFX_ENVIRONMENT = {
    "LANGFLOW_LOG_LEVEL": "CRITICAL",  # what fails is reported by us, once
    "LANGFLOW_CONFIG_DIR": "/tmp/lfx",  # noqa: S108 - private to the sandbox
    # The gate decides where a connection may go. lfx's own check needs DNS, which does not exist inside the walls.
    "LANGFLOW_SSRF_PROTECTION_ENABLED": "false",
    "LANGFLOW_CONNECTOR_SSRF_VALIDATION_ENABLED": "false",
    # The walls decide which files can be read: here are only those of this run.
    "LANGFLOW_RESTRICT_LOCAL_FILE_ACCESS": "false",
    "LANGFLOW_DO_NOT_TRACK": "true",
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",  # LlamaIndex has none
    "LANGCHAIN_TRACING_V2": "false",
    "LANGSMITH_TRACING": "false",
    # Threads that exist before the fork do not exist after it.
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "TOKENIZERS_PARALLELISM": "false",
}
