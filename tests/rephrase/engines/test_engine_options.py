import pytest

from rephrase.engines.engine_options import parse_option, require_known, shaping_text
from rephrase.engines.opening import EngineConfig, open_engine

KNOWN = {"kv_cache_dtype", "enforce_eager", "max_num_seqs"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kv_cache_dtype=fp8", ("kv_cache_dtype", "fp8")),
        ("--kv-cache-dtype=fp8", ("kv_cache_dtype", "fp8")),
        ("enforce_eager=true", ("enforce_eager", True)),
        ("block_size=64", ("block_size", 64)),
        ("speculative_config={'method': 'ngram'}", ("speculative_config", "{'method': 'ngram'}")),
        ('speculative_config={"method": "ngram"}', ("speculative_config", {"method": "ngram"})),
    ],
)
def test_a_value_is_json_or_a_word(text, expected):
    assert parse_option(text) == expected


def test_an_unknown_name_is_refused_with_the_nearest_one():
    require_known({"kv_cache_dtype": "fp8"}, KNOWN)
    with pytest.raises(ValueError, match="no engine argument 'kv_cache_typ'; did you mean 'kv_cache_dtype'"):
        require_known({"kv_cache_typ": "fp8"}, KNOWN)
    with pytest.raises(ValueError, match=r"no engine argument 'zzz'$"):
        require_known({"zzz": 1}, KNOWN)
    with pytest.raises(ValueError, match="'max_model_len' is set by --max-context-tokens"):
        require_known({"max_model_len": 1}, {*KNOWN, "max_model_len"})
    with pytest.raises(ValueError, match="write name=value"):
        parse_option("enforce_eager")


def test_what_shapes_the_text_is_pinned_and_what_shapes_the_speed_is_not():
    fast = EngineConfig(
        tensor_parallel_size=2, gpu_memory_utilization=0.5, max_num_seqs=64, options={"block_size": 64, "dtype": "auto"}
    )
    assert fast.pinned == EngineConfig().pinned
    assert EngineConfig(
        dtype="float32", quantization="fp8", chat_template_kwargs={"enable_thinking": False}
    ).pinned == {
        **EngineConfig().pinned,
        "engine option dtype": "float32",
        "engine option quantization": "fp8",
        "engine option chat_template_kwargs": {"enable_thinking": False},
    }
    assert shaping_text({"dtype": "auto"}) == {}


def test_options_are_given_once_and_to_the_engine_that_has_them():
    with pytest.raises(ValueError, match="dtype: given twice"):
        EngineConfig(dtype="float32", options={"dtype": "bfloat16"})
    with pytest.raises(ValueError, match="dtype, block_size: only for the vllm engine"):
        EngineConfig(kind="openai", endpoints=["http://x/v1"], dtype="float32", options={"block_size": 64})
    EngineConfig(kind="openai", endpoints=["http://x/v1"], chat_template_kwargs={"enable_thinking": False})


def test_a_copy_penalty_is_refused_where_it_could_not_be_applied():
    with pytest.raises(ValueError, match="copy_penalty, which only the vllm engine"):
        open_engine(EngineConfig(kind="openai", endpoints=["http://x/v1"]), penalizes_copies=True)
    speculating = EngineConfig(options={"speculative_config": {"method": "ngram"}})
    with pytest.raises(ValueError, match="leave out the engine option speculative_config"):
        open_engine(speculating, penalizes_copies=True)
