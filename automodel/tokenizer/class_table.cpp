// Which class transformers 5.17 takes for a folder: tokenization_auto.py's tables and rules.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "automodel/base/error.h"
#include "automodel/tokenizer/class_rules.h"
#include "automodel/tokenizer/further_classes.h"

namespace automodel::tokenizer {

namespace {

constexpr char kBackend[] = "TokenizersBackend";

struct Registered {
  std::string_view model_type, tokenizer_class;
};

// The families that have a class of their own, and those that are sent to the plain backend.
// clang-format off
constexpr Registered kRegistered[] = {
    {"EvollaModel", kBackend}, {"aimv2", "CLIPTokenizer"}, {"albert", "AlbertTokenizer"}, {"align", "BertTokenizer"},
    {"arctic", kBackend}, {"aria", kBackend}, {"audioflamingo3", "Qwen2Tokenizer"}, {"aya_vision", "CohereTokenizer"},
    {"bark", "BertTokenizer"}, {"bart", "RobertaTokenizer"}, {"bert", "BertTokenizer"},
    {"bert-generation", "BertGenerationTokenizer"}, {"big_bird", "BigBirdTokenizer"}, {"bigbird_pegasus", kBackend},
    {"biogpt", "BioGptTokenizer"}, {"blenderbot", "BlenderbotTokenizer"},
    {"blenderbot-small", "BlenderbotSmallTokenizer"}, {"blip", "BertTokenizer"}, {"blip-2", "GPT2Tokenizer"},
    {"bridgetower", "RobertaTokenizer"}, {"bros", "BertTokenizer"}, {"camembert", "CamembertTokenizer"},
    {"camembertv2-base", kBackend}, {"canary", kBackend}, {"canine", "CanineTokenizer"}, {"chameleon", kBackend},
    {"chatlm", kBackend}, {"chinese_clip", "BertTokenizer"}, {"clap", "RobertaTokenizer"}, {"clip", "CLIPTokenizer"},
    {"clipseg", "CLIPTokenizer"}, {"clvp", "ClvpTokenizer"}, {"code_llama", "CodeLlamaTokenizer"},
    {"codegen", "GPT2Tokenizer"}, {"cohere", "CohereTokenizer"}, {"cohere2", "CohereTokenizer"},
    {"cohere_asr", kBackend}, {"colqwen2", "Qwen2Tokenizer"}, {"convbert", "BertTokenizer"},
    {"cosmos3_omni", "Qwen2Tokenizer"}, {"cpmant", "CpmAntTokenizer"}, {"ctrl", "CTRLTokenizer"},
    {"data2vec-audio", "Wav2Vec2CTCTokenizer"}, {"data2vec-text", "RobertaTokenizer"}, {"dbrx", "GPT2Tokenizer"},
    {"deberta", "DebertaTokenizer"}, {"deberta-v2", "DebertaV2Tokenizer"}, {"deepseek_ocr", kBackend},
    {"deepseek_ocr2", kBackend}, {"deepseek_v2", kBackend}, {"deepseek_v3", kBackend}, {"deepseek_v32", kBackend},
    {"deepseek_v4", kBackend}, {"deepseek_vl", kBackend}, {"deepseek_vl_hybrid", kBackend},
    {"deepseek_vl_v2", kBackend}, {"dia", "DiaTokenizer"}, {"diffusion_gemma", "GemmaTokenizer"},
    {"distilbert", "BertTokenizer"}, {"dpr", "DPRQuestionEncoderTokenizer"}, {"electra", "BertTokenizer"},
    {"emu3", "GPT2Tokenizer"}, {"ernie", "BertTokenizer"}, {"ernie4_5", kBackend}, {"ernie4_5_moe", kBackend},
    {"esm", "EsmTokenizer"}, {"esmc", "EsmcTokenizer"}, {"esmfold2", "EsmcTokenizer"},
    {"falcon_mamba", "GPTNeoXTokenizer"}, {"fastspeech2_conformer", "FastSpeech2ConformerTokenizer"},
    {"flaubert", "FlaubertTokenizer"}, {"flava", "BertTokenizer"}, {"flex_olmo", kBackend},
    {"florence2", "BartTokenizer"}, {"fnet", "FNetTokenizer"}, {"fsmt", "FSMTTokenizer"},
    {"fun_asr_nano", "Qwen2Tokenizer"}, {"funnel", "FunnelTokenizer"}, {"fuyu", kBackend},
    {"gemma", "GemmaTokenizer"}, {"gemma2", "GemmaTokenizer"}, {"gemma3", "GemmaTokenizer"},
    {"gemma3_text", "GemmaTokenizer"}, {"gemma3n", "GemmaTokenizer"}, {"gemma3n_text", "GemmaTokenizer"},
    {"git", "BertTokenizer"}, {"glm", kBackend}, {"glm4", kBackend}, {"glm4_moe", kBackend},
    {"glm4_moe_lite", kBackend}, {"glm4v", kBackend}, {"glm4v_moe", kBackend}, {"glm_image", kBackend},
    {"glmasr", kBackend}, {"got_ocr2", kBackend}, {"gpt-sw3", "GPTSw3Tokenizer"}, {"gpt2", "GPT2Tokenizer"},
    {"gpt_bigcode", kBackend}, {"gpt_neo", "GPT2Tokenizer"}, {"gpt_neox", "GPTNeoXTokenizer"},
    {"gpt_neox_japanese", "GPTNeoXJapaneseTokenizer"}, {"gptj", "GPT2Tokenizer"}, {"granite", kBackend},
    {"granite_speech5_ctc", "ParakeetTokenizer"}, {"granitemoe", kBackend}, {"granitemoehybrid", kBackend},
    {"granitemoeshared", kBackend}, {"grounding-dino", "BertTokenizer"}, {"groupvit", "CLIPTokenizer"},
    {"h2ovl_chat", kBackend}, {"hubert", "Wav2Vec2CTCTokenizer"}, {"hunyuan_vl", "Qwen2Tokenizer"},
    {"hyperclovax", kBackend}, {"hyperclovax_vlm", kBackend}, {"ibert", "RobertaTokenizer"},
    {"idefics", "LlamaTokenizer"}, {"idefics2", "LlamaTokenizer"}, {"instructblip", "GPT2Tokenizer"},
    {"instructblipvideo", "GPT2Tokenizer"}, {"internlm2", kBackend}, {"internvl", "Qwen2Tokenizer"},
    {"jais2", "GPT2Tokenizer"}, {"jamba", kBackend}, {"janus", kBackend},
    {"jina_embeddings_v3", "XLMRobertaTokenizer"}, {"kimi_k25", kBackend}, {"kimi_linear", kBackend},
    {"kosmos-2", kBackend}, {"lasr_ctc", "LasrTokenizer"}, {"lasr_encoder", "LasrTokenizer"},
    {"layoutlm", "BertTokenizer"}, {"layoutlmv2", "LayoutLMv2Tokenizer"}, {"layoutlmv3", "LayoutLMv3Tokenizer"},
    {"layoutxlm", "LayoutXLMTokenizer"}, {"led", "LEDTokenizer"}, {"lighton_ocr", "Qwen2Tokenizer"},
    {"lilt", "RobertaTokenizer"}, {"llava", kBackend}, {"llava_next", kBackend}, {"longformer", "RobertaTokenizer"},
    {"luke", "LukeTokenizer"}, {"lxmert", "LxmertTokenizer"}, {"m2m_100", "M2M100Tokenizer"},
    {"mamba", "GPTNeoXTokenizer"}, {"mamba2", "GPTNeoXTokenizer"}, {"marian", "MarianTokenizer"},
    {"markuplm", "MarkupLMTokenizer"}, {"mbart", "MBartTokenizer"}, {"mega", "RobertaTokenizer"},
    {"megatron-bert", "BertTokenizer"}, {"metaclip_2", "XLMRobertaTokenizer"}, {"mgp-str", "MgpstrTokenizer"},
    {"mimo_v2_flash", kBackend}, {"minicpm3", kBackend}, {"minicpmv", kBackend}, {"minicpmv4_6", kBackend},
    {"minimax_m2", kBackend}, {"ministral", kBackend}, {"ministral3", kBackend}, {"mistral", kBackend},
    {"mistral3", kBackend}, {"mixtral", kBackend}, {"mm-grounding-dino", "BertTokenizer"},
    {"mobilebert", "MobileBertTokenizer"}, {"modernbert", kBackend}, {"molmo", kBackend}, {"molmo2", kBackend},
    {"mpnet", "MPNetTokenizer"}, {"mpt", "GPTNeoXTokenizer"}, {"mra", "RobertaTokenizer"}, {"mt5", "T5Tokenizer"},
    {"musicgen", "T5Tokenizer"}, {"musicgen_melody", "T5Tokenizer"}, {"mvp", "MvpTokenizer"}, {"nemotron", kBackend},
    {"nemotron3_5_asr", "ParakeetTokenizer"}, {"nemotron_asr_streaming", "ParakeetTokenizer"},
    {"nezha", "BertTokenizer"}, {"nllb-moe", "NllbTokenizer"}, {"nomic_bert", "BertTokenizer"},
    {"nougat", "NougatTokenizer"}, {"nvfp4", kBackend}, {"nystromformer", kBackend}, {"olmo", "GPTNeoXTokenizer"},
    {"olmo2", kBackend}, {"olmo3", kBackend}, {"olmo_hybrid", kBackend}, {"olmoe", "GPTNeoXTokenizer"},
    {"omdet-turbo", "CLIPTokenizer"}, {"oneformer", "CLIPTokenizer"}, {"openai-gpt", "OpenAIGPTTokenizer"},
    {"opencua", kBackend}, {"openvla", kBackend}, {"opt", "GPT2Tokenizer"}, {"ovis2", "Qwen2Tokenizer"},
    {"owlv2", "CLIPTokenizer"}, {"owlvit", "CLIPTokenizer"}, {"paddleocr_vl", kBackend},
    {"parakeet_ctc", "ParakeetTokenizer"}, {"parakeet_rnnt", "ParakeetTokenizer"},
    {"parakeet_tdt", "ParakeetTokenizer"}, {"pegasus", "PegasusTokenizer"}, {"pegasus_x", kBackend},
    {"perceiver", "PerceiverTokenizer"}, {"persimmon", kBackend}, {"phi", "GPT2Tokenizer"}, {"phi3", kBackend},
    {"phi3_v", kBackend}, {"phimoe", kBackend}, {"pix2struct", kBackend}, {"pixtral", kBackend},
    {"plbart", "PLBartTokenizer"}, {"pp_formulanet", "NougatTokenizer"}, {"prophetnet", "ProphetNetTokenizer"},
    {"qdqbert", "BertTokenizer"}, {"qianfan_ocr", "Qwen2Tokenizer"}, {"qwen2", "Qwen2Tokenizer"},
    {"qwen2_5_omni", "Qwen2Tokenizer"}, {"qwen2_5_vl", "Qwen2Tokenizer"}, {"qwen2_audio", "Qwen2Tokenizer"},
    {"qwen2_moe", "Qwen2Tokenizer"}, {"qwen2_vl", "Qwen2Tokenizer"}, {"qwen3", "Qwen2Tokenizer"},
    {"qwen3_5", "Qwen3_5Tokenizer"}, {"qwen3_5_moe", "Qwen3_5Tokenizer"}, {"qwen3_5_text", "Qwen3_5Tokenizer"},
    {"qwen3_asr", "Qwen2Tokenizer"}, {"qwen3_moe", "Qwen2Tokenizer"}, {"qwen3_next", "Qwen2Tokenizer"},
    {"qwen3_omni_moe", "Qwen2Tokenizer"}, {"qwen3_vl", "Qwen2Tokenizer"}, {"qwen3_vl_moe", "Qwen2Tokenizer"},
    {"qwen4_exp", "Qwen3_5Tokenizer"}, {"rag", "RagTokenizer"}, {"realm", "BertTokenizer"},
    {"recurrent_gemma", "GemmaTokenizer"}, {"reformer", "ReformerTokenizer"}, {"rembert", "RemBertTokenizer"},
    {"retribert", "BertTokenizer"}, {"roberta", "RobertaTokenizer"}, {"roberta-prelayernorm", "RobertaTokenizer"},
    {"roc_bert", "RoCBertTokenizer"}, {"roformer", "RoFormerTokenizer"}, {"rwkv", "GPTNeoXTokenizer"},
    {"sam3", "CLIPTokenizer"}, {"sam3_video", "CLIPTokenizer"}, {"seamless_m4t", "SeamlessM4TTokenizer"},
    {"seamless_m4t_v2", "SeamlessM4TTokenizer"}, {"shieldgemma2", "GemmaTokenizer"}, {"siglip", "SiglipTokenizer"},
    {"siglip2", "Siglip2Tokenizer"}, {"smolvlm", kBackend}, {"speech_to_text", "Speech2TextTokenizer"},
    {"speecht5", "SpeechT5Tokenizer"}, {"splinter", "SplinterTokenizer"}, {"squeezebert", "BertTokenizer"},
    {"stablelm", kBackend}, {"starcoder2", "GPT2Tokenizer"}, {"step3_vl", kBackend}, {"step3p5", kBackend},
    {"switch_transformers", "T5Tokenizer"}, {"t5", "T5Tokenizer"}, {"t5gemma", "GemmaTokenizer"},
    {"tapas", "TapasTokenizer"}, {"tipsv2", "Tipsv2Tokenizer"}, {"trocr", "XLMRobertaTokenizer"},
    {"tvp", "BertTokenizer"}, {"udop", "UdopTokenizer"}, {"umt5", kBackend}, {"unispeech", "Wav2Vec2CTCTokenizer"},
    {"unispeech-sat", "Wav2Vec2CTCTokenizer"}, {"vibevoice", "Qwen2Tokenizer"}, {"videoprism", "VideoPrismTokenizer"},
    {"vilt", "BertTokenizer"}, {"vipllava", kBackend}, {"vision-encoder-decoder", kBackend},
    {"visual_bert", "BertTokenizer"}, {"vits", "VitsTokenizer"}, {"voxtral", kBackend},
    {"voxtral_realtime", kBackend}, {"wav2vec2", "Wav2Vec2CTCTokenizer"}, {"wav2vec2-bert", "Wav2Vec2CTCTokenizer"},
    {"wav2vec2-conformer", "Wav2Vec2CTCTokenizer"}, {"whisper", "WhisperTokenizer"}, {"xclip", "CLIPTokenizer"},
    {"xglm", "XGLMTokenizer"}, {"xlm", "XLMTokenizer"}, {"xlm-roberta", "XLMRobertaTokenizer"},
    {"xlm-roberta-xl", kBackend}, {"xlnet", "XLNetTokenizer"}, {"xlstm", "GPTNeoXTokenizer"},
    {"xmod", "XLMRobertaTokenizer"}, {"yoso", "AlbertTokenizer"}, {"zaya", "GemmaTokenizer"}};

// Other names of one class.
constexpr Registered kAliases[] = {
    {"BartTokenizer", "RobertaTokenizer"}, {"LongformerTokenizer", "RobertaTokenizer"},
    {"ElectraTokenizer", "BertTokenizer"}, {"SqueezeBertTokenizer", "BertTokenizer"},
    {"ConvBertTokenizer", "BertTokenizer"}, {"LayoutLMTokenizer", "BertTokenizer"},
    {"DistilBertTokenizer", "BertTokenizer"}, {"MobileBertTokenizer", "BertTokenizer"},
    {"LxmertTokenizer", "BertTokenizer"}, {"DPRQuestionEncoderTokenizer", "BertTokenizer"},
    {"Phi3Tokenizer", "LlamaTokenizer"}, {"CodeGenTokenizer", "GPT2Tokenizer"}};

// Classes that build a tokenizer of their own from the files, in ways that are not here.
constexpr std::string_view kNotHere[] = {
    "BartphoTokenizer", "BertGenerationTokenizer", "BertJapaneseTokenizer", "BertweetTokenizer", "BigBirdTokenizer",
    "BioGptTokenizer", "BlenderbotSmallTokenizer", "ByT5Tokenizer", "CTRLTokenizer", "CanineTokenizer",
    "ClvpTokenizer", "CpmAntTokenizer", "CpmTokenizer", "DiaTokenizer", "EsmTokenizer", "EsmcTokenizer",
    "FNetTokenizer", "FSMTTokenizer", "FastSpeech2ConformerTokenizer", "FlaubertTokenizer", "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer", "LEDTokenizer", "LasrTokenizer", "LayoutLMv2Tokenizer", "LayoutLMv3Tokenizer",
    "LayoutXLMTokenizer", "LukeTokenizer", "M2M100Tokenizer", "MBart50Tokenizer", "MBartTokenizer", "MLukeTokenizer",
    "MarianTokenizer", "MarkupLMTokenizer", "MgpstrTokenizer", "MvpTokenizer", "MyT5Tokenizer", "NllbTokenizer",
    "NougatTokenizer", "PLBartTokenizer", "ParakeetTokenizer", "PegasusTokenizer", "PerceiverTokenizer",
    "PhobertTokenizer", "ProphetNetTokenizer", "RagTokenizer", "RoCBertTokenizer", "RoFormerTokenizer",
    "SeamlessM4TTokenizer", "Siglip2Tokenizer", "SiglipTokenizer", "Speech2TextTokenizer", "SpeechT5Tokenizer",
    "SplinterTokenizer", "TapasTokenizer", "Tipsv2Tokenizer", "UdopTokenizer", "VideoPrismTokenizer", "VitsTokenizer",
    "Wav2Vec2CTCTokenizer", "Wav2Vec2PhonemeCTCTokenizer", "XLMTokenizer"};
// clang-format on

// Families whose tokenizer_config.json often names a wrong class: the registered one is taken.
constexpr std::string_view kRegisteredWins[] = {"qwen2"};

std::string without_fast(std::string name) {
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  return name;
}

template <size_t kSize>
std::string_view look_up(const Registered (&rows)[kSize], std::string_view name) {
  const auto* row =
      std::find_if(std::begin(rows), std::end(rows), [&](const Registered& r) { return r.model_type == name; });
  return row == std::end(rows) ? std::string_view() : row->tokenizer_class;
}

}  // namespace

std::string tokenizer_class(const Json& tokenizer_config, const Json& model_config) {
  const auto text = [](const Json& object, const char* key) {
    const auto found = object.find(key);
    return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>()
                                                                             : std::string();
  };
  std::string named = text(tokenizer_config, "tokenizer_class");
  if (named.empty()) named = text(model_config, "tokenizer_class");
  named = without_fast(named);
  const std::string model_type = text(model_config, "model_type");
  const std::string_view registered = look_up(kRegistered, model_type);
  std::string chosen = named;
  if (!registered.empty()) {
    const bool wins =
        std::find(std::begin(kRegisteredWins), std::end(kRegisteredWins), model_type) != std::end(kRegisteredWins);
    if (named.empty() || wins || registered == kBackend) chosen = registered;
  }
  if (const std::string_view other = look_up(kAliases, chosen); !other.empty()) chosen = other;
  if (std::find(std::begin(kNotHere), std::end(kNotHere), chosen) != std::end(kNotHere)) return chosen;
  return rebuilds(chosen) ? chosen : kBackend;
}

bool rebuilds(const std::string& name) {
  static constexpr std::string_view kClasses[] = {
      "LlamaTokenizer",   "CodeLlamaTokenizer", "GemmaTokenizer",  "Qwen2Tokenizer",     "Qwen3_5Tokenizer",
      "GPT2Tokenizer",    "GPTNeoXTokenizer",   "CohereTokenizer", "BertTokenizer",      "MPNetTokenizer",
      "RobertaTokenizer", "DebertaTokenizer",   "T5Tokenizer",     "XLMRobertaTokenizer"};
  return std::find(std::begin(kClasses), std::end(kClasses), name) != std::end(kClasses) || is_further_class(name);
}

void check_class(const std::string& name, const std::string& where) {
  if (std::find(std::begin(kNotHere), std::end(kNotHere), name) != std::end(kNotHere))
    throw UnsupportedError(where, "transformers builds a " + name + " in its own way, which is not in this build",
                           "where there is a tokenizer.json, remove 'tokenizer_class' to use it as it is");
}

}  // namespace automodel::tokenizer
