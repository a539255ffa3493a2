"""The recipe of the measurements that fine-tune adapters on real chats: LoRA of rank 16 in every linear, bf16, packed, nothing saved."""

RECIPE = """\
recipe: TrainFinetuneRecipeForNextTokenPrediction
model:
{model}
  torch_dtype: bf16
{tokenizer}peft:
  _target_: nemo_automodel.components._peft.lora.PeftConfig
  match_all_linear: true
  exclude_modules: ["*lm_head*"]
  dim: 16
  alpha: 32
dataset:
  _target_: nemo_automodel.components.datasets.llm.chat_dataset.ChatDataset
  path_or_dataset_id: {chats}
packed_sequence:
  packed_sequence_size: {pack}
step_scheduler: {{global_batch_size: {packs_a_step}, local_batch_size: {packs_a_step}, max_steps: {steps}}}
optimizer: {{_target_: torch.optim.AdamW, lr: 1.0e-4, betas: [0.9, 0.999], weight_decay: {weight_decay}}}
checkpoint: {{enabled: false, checkpoint_dir: {out}}}
tensorboard: {{enabled: false}}
"""
CLASS = "  _target_: nemo_automodel.NeMoAutoModelForCausalLM."


def from_checkpoint(folder):
    return f"{CLASS}from_pretrained\n  pretrained_model_name_or_path: {folder}"


def from_config(folder, vocabulary):
    return f"{CLASS}from_config\n  config:\n    pretrained_model_name_or_path: {folder}\n    vocab_size: {vocabulary}"


def recipe(model, chats, out, *, pack, packs_a_step, steps, tokenizer=None, weight_decay=0.01):
    """`model` is one of the two above; a step trains `packs_a_step` packs of `pack` tokens at once."""
    own = f"tokenizer:\n  pretrained_model_name_or_path: {tokenizer}\n" if tokenizer else ""
    return RECIPE.format(model=model, tokenizer=own, chats=chats, out=out, pack=pack, packs_a_step=packs_a_step, steps=steps,
                         weight_decay=weight_decay)
