"""The table of rules.

A code is permanent: it is never given to another rule, and a rule never gets another.

CK1xx container, CK2xx shards, CK3xx names, dtypes and shapes, CK4xx values, CK5xx against a
reference, CK6xx metadata, CK7xx policy checkpoint, CK8xx supply chain. Other distributions bring
rules too (`plugins` finds them), under codes that do not start with CK and a digit.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from ckpt_tools.rules.checks import (
    ck208_single_file,
    ck209_index_beside_single_file,
    ck210_index_total_size,
    ck301_teacher_weights,
    ck302_wrapped_names,
    ck303_odd_names,
    ck304_names_differing_in_case,
    ck305_missing_tensors,
    ck306_unexpected_tensors,
    ck307_unexpected_shapes,
    ck308_dtype_profile,
    ck309_aliased_names,
    ck310_normalisation_buffers,
    ck311_weights_size,
    ck312_empty_tensors,
    ck401_nan_values,
    ck402_infinite_values,
    ck403_zero_weights,
    ck404_constant_weights,
    ck405_vlm_never_loaded,
    ck406_huge_values,
    ck501_tensors_unlike_reference,
    ck502_dtypes_unlike_reference,
    ck503_shapes_unlike_reference,
    ck504_config_unlike_reference,
    ck505_metadata_unlike_reference,
    ck511_unlike_spec,
    ck611_odd_metadata,
    ck612_metadata_format,
    ck701_load_vlm_weights,
    ck702_use_reflow,
    ck703_reflow_fields,
    ck704_unknown_field,
    ck705_policy_type,
    ck706_config_value,
    ck707_action_steps,
    ck708_use_cache,
    ck709_num_steps,
    ck710_local_model_path,
    ck711_no_config,
    ck712_features,
    ck713_normalization_mode,
    ck721_processors_missing,
    ck722_state_file,
    ck723_not_normalised,
    ck724_statistics_keys,
    ck725_statistics_finite,
    ck726_statistics_spread,
    ck727_statistics_shape,
    ck728_action_not_denormalised,
    ck729_action_statistics_differ,
    ck730_statistics_unlike_reference,
    ck731_step_runs_code,
    ck732_steps_missing,
    ck733_processor_value,
    ck734_state_holds_more,
    ck741_train_config_reflow,
    ck742_train_config_paths,
    ck743_training_state,
    ck744_leftovers,
    ck745_unreadable_by_others,
    ck746_train_config_value,
    ck751_loads_and_acts,
    file_content,
    model_card,
    other_weights,
    remote_code,
    uploaded_files,
)
from ckpt_tools.rules.finding import Need, Severity
from ckpt_tools.rules.parse_rules import PARSE_RULES
from ckpt_tools.rules.rule import Rule, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ckpt_tools.rules.rule import Subject

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
"""What a rule may be called."""

_CODE = re.compile(r"[A-Z]{2,}[0-9]+")
_OWN = re.compile(r"CK[0-9]")


_TOPICS = (
    ck208_single_file,
    ck209_index_beside_single_file,
    ck210_index_total_size,
    ck301_teacher_weights,
    ck302_wrapped_names,
    ck303_odd_names,
    ck304_names_differing_in_case,
    ck305_missing_tensors,
    ck306_unexpected_tensors,
    ck307_unexpected_shapes,
    ck308_dtype_profile,
    ck309_aliased_names,
    ck310_normalisation_buffers,
    ck311_weights_size,
    ck312_empty_tensors,
    ck401_nan_values,
    ck402_infinite_values,
    ck403_zero_weights,
    ck404_constant_weights,
    ck405_vlm_never_loaded,
    ck406_huge_values,
    ck501_tensors_unlike_reference,
    ck502_dtypes_unlike_reference,
    ck503_shapes_unlike_reference,
    ck504_config_unlike_reference,
    ck505_metadata_unlike_reference,
    ck511_unlike_spec,
    ck611_odd_metadata,
    ck612_metadata_format,
    ck701_load_vlm_weights,
    ck702_use_reflow,
    ck703_reflow_fields,
    ck704_unknown_field,
    ck705_policy_type,
    ck706_config_value,
    ck707_action_steps,
    ck708_use_cache,
    ck709_num_steps,
    ck710_local_model_path,
    ck711_no_config,
    ck712_features,
    ck713_normalization_mode,
    ck721_processors_missing,
    ck722_state_file,
    ck723_not_normalised,
    ck724_statistics_keys,
    ck725_statistics_finite,
    ck726_statistics_spread,
    ck727_statistics_shape,
    ck728_action_not_denormalised,
    ck729_action_statistics_differ,
    ck730_statistics_unlike_reference,
    ck731_step_runs_code,
    ck732_steps_missing,
    ck733_processor_value,
    ck734_state_holds_more,
    ck741_train_config_reflow,
    ck742_train_config_paths,
    ck743_training_state,
    ck744_leftovers,
    ck745_unreadable_by_others,
    ck746_train_config_value,
    ck751_loads_and_acts,
    file_content,
    model_card,
    other_weights,
    remote_code,
    uploaded_files,
)
"""The modules of rules: one a topic, every Rule at their top level is one of the tool's."""


@cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, by code."""
    own = (value for module in _TOPICS for value in vars(module).values())
    rules = (*PARSE_RULES, *(value for value in own if isinstance(value, Rule)))
    return tuple(sorted(rules, key=lambda rule: rule.code))


def rule_of(code: str) -> Rule | None:
    """Return the rule of that code or name, None if there is none."""
    return next(
        (rule for rule in all_rules() if code.upper() == rule.code or code.lower() == rule.name),
        None,
    )


def objection(rule: object, taken: Iterable[Rule]) -> str:
    """Return why what another distribution brings cannot be a rule beside those `taken`, "" where it can."""
    if not isinstance(rule, Rule):
        return f"holds {type(rule).__name__} where a Rule is due"
    # Nobody has checked a stranger's types.
    code, name = str(rule.code), str(rule.name)
    if not _CODE.fullmatch(code):
        return f"the code {code!r} is not capital letters and a number, such as ACME101"
    if _OWN.match(code):
        return f"the code {code} starts with CK and a number, which are the tool's own"
    if not NAME.fullmatch(name):
        return f"the name {name!r} of {code} is not lower case with hyphens"
    if any(code == other.code or name == other.name for other in taken):
        return f"{code} {name} has the code or the name of another rule"
    return (
        ""
        if _is_whole(*rule[2:6])
        else f"{code} {name} lacks a severity, what it needs, a check or a page"
    )


def _is_whole(severity: object, needs: object, check: object, page: object) -> bool:
    looks = isinstance(needs, frozenset) and all(isinstance(need, Need) for need in needs)
    return (
        isinstance(severity, Severity)
        and looks
        and callable(check)
        and isinstance(page, str)
        and bool(page.strip())
    )


def guarded(rule: Rule, origin: str, warn: Callable[[str], None]) -> Rule:
    """Return a rule of the distribution `origin` whose failure is a finding, not a crash.

    A rule that could not look has not passed.
    """

    def check(subject: Subject) -> Iterator[Violation]:
        try:
            found = tuple(Violation(*one) for one in rule.check(subject))
        except Exception as error:  # noqa: BLE001 - whatever a stranger's code raises
            what = f"the rule failed: {type(error).__name__}: {error}"
            warn(f"{origin}: {rule.code} {rule.name}: {what}")
            found = (
                Violation(
                    what,
                    next=f"report it to the maintainers of {origin}, or uninstall it",
                    severity=Severity.WARNING,
                ),
            )
        yield from found

    return rule._replace(check=check)
