// Which class transformers 5.17 takes for a folder: tokenization_auto.py's tables and rules.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "automodel/base/error.h"
#include "automodel/tokenizer/class_rules.h"

namespace automodel::tokenizer {

namespace {

constexpr char kBackend[] = "TokenizersBackend";

struct Registered {
  std::string_view model_type, tokenizer_class;
};

// The families that have a class of their own, and those that are sent to the plain backend.
// clang-format off
constexpr Registered kRegistered[] = {{"align", "BertTokenizer"},
    {"arctic", kBackend},
    {"aria", kBackend},
    {"audioflamingo3", "Qwen2Tokenizer"},
    {"aya_vision", "CohereTokenizer"},
    {"bark", "BertTokenizer"},
    {"bart", "RobertaTokenizer"},
    {"bert", "BertTokenizer"},
    {"bigbird_pegasus", kBackend},
    {"blip", "BertTokenizer"},
    {"blip-2", "GPT2Tokenizer"},
    {"bridgetower", "RobertaTokenizer"},
    {"bros", "BertTokenizer"},
    {"camembertv2-base", kBackend},
    {"canary", kBackend},
    {"chameleon", kBackend},
    {"chatlm", kBackend},
    {"chinese_clip", "BertTokenizer"},
    {"clap", "RobertaTokenizer"},
    {"code_llama", "CodeLlamaTokenizer"},
    {"codegen", "GPT2Tokenizer"},
    {"cohere", "CohereTokenizer"},
    {"cohere2", "CohereTokenizer"},
    {"cohere_asr", kBackend},
    {"colqwen2", "Qwen2Tokenizer"},
    {"convbert", "BertTokenizer"},
    {"cosmos3_omni", "Qwen2Tokenizer"},
    {"data2vec-text", "RobertaTokenizer"},
    {"dbrx", "GPT2Tokenizer"},
    {"deberta", "DebertaTokenizer"},
    {"deepseek_ocr", kBackend},
    {"deepseek_ocr2", kBackend},
    {"deepseek_v2", kBackend},
    {"deepseek_v3", kBackend},
    {"deepseek_v32", kBackend},
    {"deepseek_v4", kBackend},
    {"deepseek_vl", kBackend},
    {"deepseek_vl_hybrid", kBackend},
    {"deepseek_vl_v2", kBackend},
    {"diffusion_gemma", "GemmaTokenizer"},
    {"distilbert", "BertTokenizer"},
    {"electra", "BertTokenizer"},
    {"emu3", "GPT2Tokenizer"},
    {"ernie", "BertTokenizer"},
    {"ernie4_5", kBackend},
    {"ernie4_5_moe", kBackend},
    {"falcon_mamba", "GPTNeoXTokenizer"},
    {"flava", "BertTokenizer"},
    {"flex_olmo", kBackend},
    {"fun_asr_nano", "Qwen2Tokenizer"},
    {"fuyu", kBackend},
    {"gemma", "GemmaTokenizer"},
    {"gemma2", "GemmaTokenizer"},
    {"gemma3", "GemmaTokenizer"},
    {"gemma3_text", "GemmaTokenizer"},
    {"gemma3n", "GemmaTokenizer"},
    {"gemma3n_text", "GemmaTokenizer"},
    {"git", "BertTokenizer"},
    {"glm", kBackend},
    {"glm4", kBackend},
    {"glm4_moe", kBackend},
    {"glm4_moe_lite", kBackend},
    {"glm4v", kBackend},
    {"glm4v_moe", kBackend},
    {"glm_image", kBackend},
    {"glmasr", kBackend},
    {"got_ocr2", kBackend},
    {"gpt2", "GPT2Tokenizer"},
    {"gpt_bigcode", kBackend},
    {"gpt_neo", "GPT2Tokenizer"},
    {"gpt_neox", "GPTNeoXTokenizer"},
    {"gptj", "GPT2Tokenizer"},
    {"granite", kBackend},
    {"granitemoe", kBackend},
    {"granitemoehybrid", kBackend},
    {"granitemoeshared", kBackend},
    {"grounding-dino", "BertTokenizer"},
    {"h2ovl_chat", kBackend},
    {"hunyuan_vl", "Qwen2Tokenizer"},
    {"hyperclovax", kBackend},
    {"hyperclovax_vlm", kBackend},
    {"ibert", "RobertaTokenizer"},
    {"idefics", "LlamaTokenizer"},
    {"idefics2", "LlamaTokenizer"},
    {"instructblip", "GPT2Tokenizer"},
    {"instructblipvideo", "GPT2Tokenizer"},
    {"internlm2", kBackend},
    {"internvl", "Qwen2Tokenizer"},
    {"jais2", "GPT2Tokenizer"},
    {"jamba", kBackend},
    {"janus", kBackend},
    {"jina_embeddings_v3", "XLMRobertaTokenizer"},
    {"kimi_k25", kBackend},
    {"kimi_linear", kBackend},
    {"kosmos-2", kBackend},
    {"layoutlm", "BertTokenizer"},
    {"lighton_ocr", "Qwen2Tokenizer"},
    {"lilt", "RobertaTokenizer"},
    {"llava", kBackend},
    {"llava_next", kBackend},
    {"longformer", "RobertaTokenizer"},
    {"mamba", "GPTNeoXTokenizer"},
    {"mamba2", "GPTNeoXTokenizer"},
    {"mega", "RobertaTokenizer"},
    {"megatron-bert", "BertTokenizer"},
    {"metaclip_2", "XLMRobertaTokenizer"},
    {"mimo_v2_flash", kBackend},
    {"minicpm3", kBackend},
    {"minicpmv", kBackend},
    {"minicpmv4_6", kBackend},
    {"minimax_m2", kBackend},
    {"ministral", kBackend},
    {"ministral3", kBackend},
    {"mistral", kBackend},
    {"mistral3", kBackend},
    {"mixtral", kBackend},
    {"mm-grounding-dino", "BertTokenizer"},
    {"modernbert", kBackend},
    {"molmo", kBackend},
    {"molmo2", kBackend},
    {"mpnet", "MPNetTokenizer"},
    {"mpt", "GPTNeoXTokenizer"},
    {"mra", "RobertaTokenizer"},
    {"mt5", "T5Tokenizer"},
    {"musicgen", "T5Tokenizer"},
    {"musicgen_melody", "T5Tokenizer"},
    {"nemotron", kBackend},
    {"nezha", "BertTokenizer"},
    {"nomic_bert", "BertTokenizer"},
    {"nvfp4", kBackend},
    {"nystromformer", kBackend},
    {"olmo", "GPTNeoXTokenizer"},
    {"olmo2", kBackend},
    {"olmo3", kBackend},
    {"olmo_hybrid", kBackend},
    {"olmoe", "GPTNeoXTokenizer"},
    {"opencua", kBackend},
    {"openvla", kBackend},
    {"opt", "GPT2Tokenizer"},
    {"ovis2", "Qwen2Tokenizer"},
    {"paddleocr_vl", kBackend},
    {"pegasus_x", kBackend},
    {"persimmon", kBackend},
    {"phi", "GPT2Tokenizer"},
    {"phi3", kBackend},
    {"phi3_v", kBackend},
    {"phimoe", kBackend},
    {"pix2struct", kBackend},
    {"pixtral", kBackend},
    {"qdqbert", "BertTokenizer"},
    {"qianfan_ocr", "Qwen2Tokenizer"},
    {"qwen2", "Qwen2Tokenizer"},
    {"qwen2_5_omni", "Qwen2Tokenizer"},
    {"qwen2_5_vl", "Qwen2Tokenizer"},
    {"qwen2_audio", "Qwen2Tokenizer"},
    {"qwen2_moe", "Qwen2Tokenizer"},
    {"qwen2_vl", "Qwen2Tokenizer"},
    {"qwen3", "Qwen2Tokenizer"},
    {"qwen3_5", "Qwen3_5Tokenizer"},
    {"qwen3_5_moe", "Qwen3_5Tokenizer"},
    {"qwen3_5_text", "Qwen3_5Tokenizer"},
    {"qwen3_asr", "Qwen2Tokenizer"},
    {"qwen3_moe", "Qwen2Tokenizer"},
    {"qwen3_next", "Qwen2Tokenizer"},
    {"qwen3_omni_moe", "Qwen2Tokenizer"},
    {"qwen3_vl", "Qwen2Tokenizer"},
    {"qwen3_vl_moe", "Qwen2Tokenizer"},
    {"qwen4_exp", "Qwen3_5Tokenizer"},
    {"realm", "BertTokenizer"},
    {"recurrent_gemma", "GemmaTokenizer"},
    {"retribert", "BertTokenizer"},
    {"roberta", "RobertaTokenizer"},
    {"roberta-prelayernorm", "RobertaTokenizer"},
    {"rwkv", "GPTNeoXTokenizer"},
    {"shieldgemma2", "GemmaTokenizer"},
    {"smolvlm", kBackend},
    {"squeezebert", "BertTokenizer"},
    {"stablelm", kBackend},
    {"starcoder2", "GPT2Tokenizer"},
    {"step3_vl", kBackend},
    {"step3p5", kBackend},
    {"switch_transformers", "T5Tokenizer"},
    {"t5", "T5Tokenizer"},
    {"t5gemma", "GemmaTokenizer"},
    {"trocr", "XLMRobertaTokenizer"},
    {"tvp", "BertTokenizer"},
    {"umt5", kBackend},
    {"vibevoice", "Qwen2Tokenizer"},
    {"vilt", "BertTokenizer"},
    {"vipllava", kBackend},
    {"vision-encoder-decoder", kBackend},
    {"visual_bert", "BertTokenizer"},
    {"voxtral", kBackend},
    {"voxtral_realtime", kBackend},
    {"xlm-roberta", "XLMRobertaTokenizer"},
    {"xlm-roberta-xl", kBackend},
    {"xlstm", "GPTNeoXTokenizer"},
    {"xmod", "XLMRobertaTokenizer"},
    {"zaya", "GemmaTokenizer"}};

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
    "AlbertTokenizer", "BarthezTokenizer", "BartphoTokenizer", "BertGenerationTokenizer", "BertJapaneseTokenizer",
    "BertweetTokenizer", "BigBirdTokenizer", "BioGptTokenizer", "BlenderbotSmallTokenizer", "BlenderbotTokenizer",
    "ByT5Tokenizer", "CLIPTokenizer", "CTRLTokenizer", "CamembertTokenizer", "CanineTokenizer", "ClvpTokenizer",
    "CpmAntTokenizer", "CpmTokenizer", "DebertaV2Tokenizer", "DiaTokenizer", "EsmTokenizer", "EsmcTokenizer",
    "FNetTokenizer", "FSMTTokenizer", "FlaubertTokenizer", "FunnelTokenizer", "GPTNeoXJapaneseTokenizer",
    "GPTSw3Tokenizer", "HerbertTokenizer", "LEDTokenizer", "LasrTokenizer", "LayoutLMv2Tokenizer",
    "LayoutLMv3Tokenizer", "LayoutXLMTokenizer", "LukeTokenizer", "M2M100Tokenizer", "MBart50Tokenizer",
    "MBartTokenizer", "MLukeTokenizer", "MarianTokenizer", "MarkupLMTokenizer", "MgpstrTokenizer", "MvpTokenizer",
    "MyT5Tokenizer", "NllbTokenizer", "NougatTokenizer", "OpenAIGPTTokenizer", "PLBartTokenizer", "ParakeetTokenizer",
    "PegasusTokenizer", "PerceiverTokenizer", "PhobertTokenizer", "ProphetNetTokenizer", "RagTokenizer",
    "ReformerTokenizer", "RemBertTokenizer", "RoCBertTokenizer", "RoFormerTokenizer", "SeamlessM4TTokenizer",
    "Siglip2Tokenizer", "SiglipTokenizer", "Speech2TextTokenizer", "SpeechT5Tokenizer", "SplinterTokenizer",
    "TapasTokenizer", "UdopTokenizer", "VideoPrismTokenizer", "VitsTokenizer", "Wav2Vec2CTCTokenizer",
    "Wav2Vec2PhonemeCTCTokenizer", "WhisperTokenizer", "XGLMTokenizer", "XLMTokenizer", "XLNetTokenizer"};
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
  static constexpr std::array<std::string_view, 14> kClasses = {
      "LlamaTokenizer",   "CodeLlamaTokenizer", "GemmaTokenizer",  "Qwen2Tokenizer",     "Qwen3_5Tokenizer",
      "GPT2Tokenizer",    "GPTNeoXTokenizer",   "CohereTokenizer", "BertTokenizer",      "MPNetTokenizer",
      "RobertaTokenizer", "DebertaTokenizer",   "T5Tokenizer",     "XLMRobertaTokenizer"};
  return std::find(kClasses.begin(), kClasses.end(), name) != kClasses.end();
}

void check_class(const std::string& name, const std::string& where) {
  if (std::find(std::begin(kNotHere), std::end(kNotHere), name) != std::end(kNotHere))
    throw UnsupportedError(where, "transformers builds a " + name + " in its own way, which is not in this build",
                           "where there is a tokenizer.json, remove 'tokenizer_class' to use it as it is");
}

}  // namespace automodel::tokenizer
