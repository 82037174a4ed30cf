"""The rules: one module a topic, one decorated function a rule; its docstring is its page.

A topic's module is imported here; `registry` finds the rules at its top level.
"""

from __future__ import annotations

from ckpt_tools.rules.checks import (  # noqa: F401 - the registry reads them from here
    adapter_base,
    adapter_modules,
    adapter_tensors,
    adapters,
    containers,
    empty_tensors,
    file_content,
    file_names,
    local_model_paths,
    metadata,
    mixed_dtypes,
    model_card,
    other_weights,
    pipelines,
    policy_agreement,
    policy_fields,
    policy_types,
    policy_values,
    private_text,
    processors,
    quantized,
    reference,
    remote_code,
    renamed_names,
    shards,
    siblings,
    statistic_values,
    statistics,
    tensor_dtypes,
    tensor_names,
    tensors,
    training_state,
    training_tensors,
    transformer_config,
    unexpected_tensors,
    uploaded_files,
    values,
)
