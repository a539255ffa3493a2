"""The tiny checkpoints of tests/parity: one entry a case, the config as config.json holds it on the Hub.

"config" is written as it stands (older Hub spelling with rope_theta and rope_scaling unless "rope_parameters" is there).
"lengths" are those of the documents. "dtype" and "shards" say how the weights are stored. "rename" is the odd naming of old files.
"""

LENGTHS = (1, 7, 19, 33, 40)
VOCAB = 72


def config(model_type, architecture, **keys):
    base = {
        "architectures": [architecture], "model_type": model_type, "vocab_size": VOCAB, "initializer_range": 0.02, "use_cache": True,
        "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "float32", "transformers_version": "4.51.0",
    }
    return base | keys


def llama(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, hidden_act="silu",
                max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0, rope_scaling=None, attention_bias=False,
                attention_dropout=0.0, mlp_bias=False, pretraining_tp=1, tie_word_embeddings=False)
    return config("llama", "LlamaForCausalLM", **(base | keys))


def rope_llama(**keys):  # two heads of 16: eight frequencies to scale
    return llama(**(dict(hidden_size=32, intermediate_size=24, num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True) | keys))


def mistral(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
                hidden_act="silu", max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=1000000.0, attention_dropout=0.0,
                sliding_window=8, tie_word_embeddings=False)
    return config("mistral", "MistralForCausalLM", **(base | keys))


# Where keys have a bias the rope base is small: a bias on dimensions that hardly turn moves all scores alike, unseen by softmax.
def qwen2(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, hidden_act="silu",
                max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=50.0, attention_dropout=0.0, use_sliding_window=False,
                sliding_window=8, max_window_layers=1, tie_word_embeddings=True)
    return config("qwen2", "Qwen2ForCausalLM", **(base | keys))


def qwen3(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
                hidden_act="silu", max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=1000000, rope_scaling=None,
                attention_bias=False, attention_dropout=0.0, use_sliding_window=False, sliding_window=None, max_window_layers=2,
                tie_word_embeddings=True)
    return config("qwen3", "Qwen3ForCausalLM", **(base | keys))


def phi3(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, hidden_act="silu",
                max_position_embeddings=64, original_max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0,
                rope_scaling=None, attention_dropout=0.0, attention_bias=False, embd_pdrop=0.0, resid_pdrop=0.0, sliding_window=None,
                pad_token_id=3, tie_word_embeddings=False)
    return config("phi3", "Phi3ForCausalLM", **(base | keys))


def gemma2(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", max_position_embeddings=64, rms_norm_eps=1e-6,
                rope_theta=10000.0, attention_bias=False, attention_dropout=0.0, query_pre_attn_scalar=3, sliding_window=8,
                final_logit_softcapping=4.0, attn_logit_softcapping=1.5, pad_token_id=0, cache_implementation="hybrid")
    return config("gemma2", "Gemma2ForCausalLM", **(base | keys))


def gemma3(**keys):
    base = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=16,
                hidden_activation="gelu_pytorch_tanh", max_position_embeddings=64, rms_norm_eps=1e-6, rope_theta=1000000.0,
                rope_local_base_freq=10000.0, rope_scaling=None, attention_bias=False, attention_dropout=0.0, query_pre_attn_scalar=10,
                sliding_window=8, sliding_window_pattern=3, final_logit_softcapping=None, attn_logit_softcapping=None, pad_token_id=0,
                tie_word_embeddings=True)
    return config("gemma3_text", "Gemma3ForCausalLM", **(base | keys))


def gpt2(**keys):
    base = dict(n_embd=24, n_layer=2, n_head=4, n_positions=40, n_ctx=40, n_inner=None, activation_function="gelu_new", attn_pdrop=0.1,
                embd_pdrop=0.1, resid_pdrop=0.1, layer_norm_epsilon=1e-5, summary_activation=None, summary_first_dropout=0.1,
                summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True, bos_token_id=5, eos_token_id=5,
                task_specific_params={"text-generation": {"do_sample": True, "max_length": 50}})
    return config("gpt2", "GPT2LMHeadModel", **(base | keys))


def v5(config, rope_parameters):
    """The spelling that transformers 5 writes."""
    old = ("rope_theta", "rope_scaling", "rope_local_base_freq", "sliding_window_pattern", "torch_dtype")
    return {k: v for k, v in config.items() if k not in old} | {
        "rope_parameters": rope_parameters, "dtype": "float32", "transformers_version": "5.17.0"}


LONG = [1.0 + 0.7 * i for i in range(8)]
SHORT = [1.0 + 0.05 * i for i in range(8)]

CASES = {
    # llama: grouped heads; plain heads with every bias; padding row without gradient; old files that carry inv_freq
    "llama": dict(config=llama()),
    "llama_bias_tied": dict(config=llama(num_key_value_heads=4, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, pad_token_id=7,
                                           rope_theta=50.0)),
    "llama_head_dim": dict(config=llama(head_dim=12, num_key_value_heads=1, hidden_act="gelu"), shards=3),
    "llama_old_names": dict(config={k: v for k, v in llama(hidden_size=24, num_attention_heads=2, num_key_value_heads=2).items()
                                    if k not in ("num_key_value_heads", "attention_bias", "mlp_bias", "rope_theta", "attention_dropout")},
                            rename="inv_freq"),
    "llama_bf16": dict(config=llama(torch_dtype="bfloat16"), dtype="bfloat16"),
    "llama_fp16": dict(config=llama(torch_dtype="float16"), dtype="float16", shards=2),
    # every rope scaling; documents of 33 and 40 are beyond the original length, those of 1, 7 and 19 are not
    "llama_rope_linear": dict(config=rope_llama(rope_scaling={"type": "linear", "factor": 2.5})),
    "llama_rope_dynamic": dict(config=rope_llama(max_position_embeddings=20, rope_scaling={"type": "dynamic", "factor": 2.0})),
    "llama_rope_llama3": dict(config=rope_llama(rope_theta=500000.0, rope_scaling={
        "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64, "rope_type": "llama3"})),
    "llama_rope_yarn": dict(config=rope_llama(rope_theta=100.0, max_position_embeddings=128, rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 4.0, "beta_slow": 0.25})),
    "llama_rope_yarn_mscale": dict(config=rope_llama(rope_theta=100.0, max_position_embeddings=128, rope_scaling={
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "beta_fast": 6.0, "beta_slow": 0.5,
        "mscale": 0.7, "mscale_all_dim": 1.3, "truncate": False})),
    "llama_rope_longrope": dict(config=rope_llama(max_position_embeddings=80, rope_scaling={
        "rope_type": "longrope", "factor": 4.0, "original_max_position_embeddings": 20, "long_factor": LONG, "short_factor": SHORT})),
    "llama_v5": dict(config=v5(rope_llama(), {"rope_type": "linear", "factor": 4.0, "rope_theta": 5000.0})),
    # mistral: a window shorter than the documents, heads wider than hidden / heads
    "mistral_window": dict(config=mistral()),
    "mistral_full_v5": dict(config=v5(mistral(sliding_window=None, head_dim=None, tie_word_embeddings=True),
                                      {"rope_type": "default", "rope_theta": 10000.0})),
    # qwen2: biases on q, k, v only; windows in the upper layers; a list of layer types
    "qwen2": dict(config=qwen2(num_hidden_layers=2)),
    "qwen2_window": dict(config=qwen2(use_sliding_window=True, tie_word_embeddings=False, sliding_window=5)),
    "qwen2_layer_types": dict(config=v5(qwen2(use_sliding_window=True, layer_types=["sliding_attention", "full_attention", "sliding_attention"]),
                                        {"rope_type": "default", "rope_theta": 50.0})),
    # qwen3: norms of q and k; yarn as Qwen advises
    "qwen3": dict(config=qwen3()),
    "qwen3_bias_yarn": dict(config=qwen3(attention_bias=True, tie_word_embeddings=False, num_key_value_heads=1, max_position_embeddings=128,
                                         rope_theta=50.0, rope_scaling={"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64})),
    # phi3: fused projections; long and short factors in one batch (33 and 40 are beyond 20); half of each head rotated; windows
    "phi3": dict(config=phi3()),
    "phi3_longrope": dict(config=phi3(max_position_embeddings=80, original_max_position_embeddings=20, num_attention_heads=2,
                                      num_key_value_heads=1, sliding_window=24,
                                      rope_scaling={"type": "longrope", "long_factor": LONG, "short_factor": SHORT})),
    "phi3_partial": dict(config=phi3(max_position_embeddings=80, original_max_position_embeddings=20, num_attention_heads=2,
                                     num_key_value_heads=2, partial_rotary_factor=0.75, sliding_window=6, tie_word_embeddings=True,
                                     rope_scaling={"type": "longrope", "long_factor": LONG[:6], "short_factor": SHORT[:6]})),
    # gemma2: every other layer windowed, scores capped where they bend; none capped, by null. sdpa cannot cap scores
    "gemma2": dict(config=gemma2(), sdpa=False),
    "gemma2_uncapped_v5": dict(config=v5(gemma2(attn_logit_softcapping=None, final_logit_softcapping=None, num_key_value_heads=2, attention_bias=True,
                                                layer_types=["full_attention", "sliding_attention", "sliding_attention"]),
                                         {"rope_type": "default", "rope_theta": 50.0})),
    # gemma3: windows alternate, two rope bases, the global one scaled; query scale not from the head size; capped logits
    "gemma3": dict(config=gemma3(rope_scaling={"rope_type": "linear", "factor": 8.0})),
    "gemma3_capped_v5": dict(config=v5(gemma3(num_hidden_layers=2, final_logit_softcapping=3.0, num_key_value_heads=2, head_dim=12,
                                              layer_types=["full_attention", "sliding_attention"]),
                                       {"full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 20000.0},
                                        "sliding_attention": {"rope_type": "default", "rope_theta": 1000.0}})),
    # gpt2: transposed weights, learned positions up to the last row, the Hub's old names with mask buffers; both scale variants
    "gpt2": dict(config=gpt2(), rename="gpt2"),
    "gpt2_scaled": dict(config=gpt2(n_embd=32, n_inner=24, scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True, n_layer=3, layer_norm_epsilon=1e-3,
                                    activation_function="gelu_pytorch_tanh", tie_word_embeddings=False)),
    "gpt2_unscaled": dict(config=gpt2(n_embd=16, scale_attn_weights=False, activation_function="silu")),
}
