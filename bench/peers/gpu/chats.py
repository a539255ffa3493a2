"""transformers + PEFT + liger on real chats in TRL's packs, one GPU: LoRA of rank 16 on all linears of Llama-3-8B, random weights.

    python3 bench/peers/gpu/chats.py PACKS.npz ATTENTION PACKS_A_STEP STEPS VOCABULARY

PACKS.npz is what bench/gpu_chats.py prepare wrote: TRL's own pack_dataset(strategy="bfd"), which SFTTrainer(packing=True) calls. As its
collator does (padding-free), the packs of a step are laid end to end in a batch of one with position ids that begin anew in each
document; labels of first tokens are -100. ATTENTION:
  varlen  FlashAttention 2 with the documents' borders, by libtorch's own copy of it: what TRL asks users to install
  sdpa    what transformers does where the flash-attn package is missing: it sees the packed positions and builds a mask [T, T]
Batches lie on the GPU before the clock starts, and no step waits for the one before: no host work is measured. Optimizer as liger.py."""
import json, os, sys, time
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import common as c

BORDERS = {}  # of the batch at work: cu (int32 on the GPU), longest


def varlen(module, query, key, value, attention_mask, scaling=None, dropout=0.0, **kwargs):
    import torch
    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # [T, heads, D]
    out = torch.ops.aten._flash_attention_forward(q, k, v, BORDERS["cu"], BORDERS["cu"], BORDERS["longest"], BORDERS["longest"],
                                                  0.0, True, False, scale=scaling)[0]
    return out.unsqueeze(0), None


def build(attention, vocabulary):
    import torch
    try:
        from liger_kernel.transformers import apply_liger_kernel_to_llama
        apply_liger_kernel_to_llama(rope=True, rms_norm=True, swiglu=True, cross_entropy=False, fused_linear_cross_entropy=True)
    except ImportError:
        if not c.TINY:
            raise
    from peft import LoraConfig, get_peft_model
    from transformers import AttentionInterface, AutoModelForCausalLM
    from transformers.masking_utils import AttentionMaskInterface
    AttentionInterface.register("varlen", varlen)
    AttentionMaskInterface.register("varlen", lambda *args, **kwargs: None)
    work = c.WORKS["llama3-8b-lora"]
    if not c.TINY:
        work["v"] = vocabulary
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(c.device()):
        model = AutoModelForCausalLM.from_config(c.hf_config(work), attn_implementation=attention, dtype=torch.bfloat16)
    torch.set_default_dtype(torch.float32)
    model = get_peft_model(model, LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM", target_modules=[
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]), autocast_adapter_dtype=False)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    return torch, model, torch.optim.AdamW(trained, lr=1e-4, betas=(0.9, 0.999), weight_decay=0.0, fused=True), work


def batches(torch, file, packs_a_step, steps, vocabulary):
    import numpy
    data = numpy.load(file)
    ids, labels, documents, packs = (data[name] for name in ("ids", "labels", "document_begins", "pack_begins"))
    made = []
    for step in range(steps):
        first = step * packs_a_step % (len(packs) - packs_a_step)
        begin, end = int(packs[first]), int(packs[first + packs_a_step])
        borders = documents[(documents >= begin) & (documents < end)]
        cu = numpy.append(borders, end) - begin
        target = labels[begin:end].copy()
        target[borders - begin] = -100
        positions = numpy.concatenate([numpy.arange(n) for n in numpy.diff(cu)])
        to = lambda values, dtype=torch.long: torch.tensor(values, dtype=dtype, device=c.device())
        made.append({"ids": to(ids[begin:end] % vocabulary)[None], "labels": to(numpy.where(target < 0, target, target % vocabulary))[None],
                     "positions": to(positions)[None], "cu": to(cu, torch.int32), "longest": int(numpy.diff(cu).max()),
                     "tokens": end - begin, "trained": int((target != -100).sum())})
    return made


def main():
    file, attention, packs_a_step, steps, vocabulary = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    began = float(os.environ.get("PEER_CHILD_T0", time.time()))
    torch, model, optimizer, work = build(attention, vocabulary)
    data = batches(torch, file, packs_a_step, steps, work["v"])

    def step(batch):
        BORDERS.update(cu=batch["cu"], longest=batch["longest"])
        loss = model(input_ids=batch["ids"], position_ids=batch["positions"], labels=batch["labels"], use_cache=False).loss
        loss.backward()
        optimizer.step(); optimizer.zero_grad(set_to_none=True)
        return loss.detach()

    with c.sdpa():
        loss = step(data[0]); c.sync()
        first = time.time() - began
        warm = min(c.WARM, steps - 1)
        for batch in data[1:warm]:
            loss = step(batch)
        c.sync()
        start = time.time()
        for batch in data[warm:]:
            loss = step(batch)
        c.sync()
        seconds = time.time() - start
    timed = data[warm:]
    tokens, trained = sum(b["tokens"] for b in timed), sum(b["trained"] for b in timed)
    print("PEER_JSON " + json.dumps({
        "peer": "transformers+peft+liger, TRL bfd packs, " + attention, "steps": len(timed), "tokens": tokens, "trained_tokens": trained,
        "tokens_per_s": tokens / seconds, "trained_tokens_per_s": trained / seconds, "step_s": seconds / len(timed),
        "tokens_a_step": tokens / len(timed), "start_to_first_step_s": first, "loss": float(loss),
        "peak_gib": 0 if c.TINY else torch.cuda.max_memory_allocated() / 2**30}), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
