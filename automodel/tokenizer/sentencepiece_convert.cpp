#include "automodel/tokenizer/sentencepiece_convert.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "automodel/base/error.h"
#include "automodel/tokenizer/base64.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

namespace {

void add_piece(ModelFile& model, std::string_view text, int32_t id, const std::string& where) {
  if (!model.vocabulary.add(text, id)) throw DataError(where, fmt::format("the piece '{}' comes twice", text));
}

// All splits of a piece into two pieces, in order of its id; of one piece, the shortest left part first.
void add_merges(ModelFile& model) {
  model.has_merges = true;
  for (int32_t id = 0; id < model.vocabulary.end_id(); ++id) model.merge_text.emplace_back(model.vocabulary.token(id));
  for (const std::string& piece : model.merge_text) {
    const std::string_view text = piece;
    for (size_t at = utf8_length(static_cast<unsigned char>(text[0])); at < text.size();
         at += utf8_length(static_cast<unsigned char>(text[at])))
      if (model.vocabulary.find(text.substr(0, at)) >= 0 && model.vocabulary.find(text.substr(at)) >= 0)
        model.merges.emplace_back(text.substr(0, at), text.substr(at));
  }
}

// Pieces whose text added_tokens_decoder replaces, as the plain backend does it.
void rename_pieces(const Json& config, std::vector<std::string>& texts) {
  const auto decoder = config.find("added_tokens_decoder");
  if (decoder == config.end() || !decoder->is_object()) return;
  for (const auto& [key, token] : decoder->items()) {
    if (key.empty() || key.size() > 7 || key.find_first_not_of("0123456789") != std::string::npos) continue;
    const size_t id = std::stoul(key);
    const std::string text = text_member(token, "content", "added_tokens_decoder");
    if (id < texts.size() && std::find(texts.begin(), texts.end(), text) == texts.end()) texts[id] = text;
  }
}

void fill_bpe(const SentencePieceFile& spm, const std::vector<std::string>& texts, ModelFile& model,
              const std::string& where) {
  model.has_vocab = true;
  for (size_t id = 0; id < spm.pieces.size(); ++id)
    add_piece(model, spm.pieces[id].text, static_cast<int32_t>(id), where);
  add_merges(model);
  if (texts.empty()) return;
  model.vocabulary = {};
  for (size_t id = 0; id < texts.size(); ++id) add_piece(model, texts[id], static_cast<int32_t>(id), where);
}

void fill_unigram(const std::vector<std::pair<std::string, double>>& pieces, ModelFile& model,
                  const std::string& where) {
  model.has_vocab = true;
  for (const auto& [text, score] : pieces) {
    add_piece(model, text, static_cast<int32_t>(model.scores.size()), where);
    model.scores.push_back(score);
  }
}

Json precompiled(const SentencePieceFile& spm) {
  if (spm.normalizer.charsmap.empty()) return nullptr;
  return {{"type", "Precompiled"}, {"precompiled_charsmap", encode_base64(spm.normalizer.charsmap)}};
}

std::vector<std::pair<std::string, double>> scored_pieces(const SentencePieceFile& spm) {
  std::vector<std::pair<std::string, double>> pieces;
  for (const auto& piece : spm.pieces) pieces.emplace_back(piece.text, static_cast<double>(piece.score));
  return pieces;
}

// The plain backend: what the file says, without prefix and without stripping.
void fill_backend(const SentencePieceFile& spm, const Json& config, Source& source, const std::string& where) {
  ModelFile& model = source.file.model;
  Json& rest = source.file.rest;
  source.whole = true;
  const auto replace = [](const char* from, const char* to) {
    return Json{{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
  };
  if (spm.model_type == SentencePieceFile::kUnigram) {
    fill_unigram(scored_pieces(spm), model, where);
    model.settings = {{"type", "Unigram"}, {"unk_id", spm.unk_id}, {"byte_fallback", spm.byte_fallback}};
  } else {
    std::vector<std::string> texts;
    for (const auto& piece : spm.pieces) texts.push_back(piece.text);
    rename_pieces(config, texts);
    fill_bpe(spm, texts, model, where);
    model.settings = {
        {"type", "BPE"}, {"unk_token", spm.unk_piece}, {"fuse_unk", true}, {"byte_fallback", spm.byte_fallback}};
  }
  Json normalizers = Json::array(), decoders = Json::array({replace("\u2581", " ")});
  if (!spm.normalizer.charsmap.empty()) normalizers.push_back(precompiled(spm));
  normalizers.push_back(replace(" ", "\u2581"));
  rest["normalizer"] = {{"type", "Sequence"}, {"normalizers", normalizers}};
  if (spm.byte_fallback) {
    decoders.push_back({{"type", "ByteFallback"}});
    decoders.push_back({{"type", "Fuse"}});
  }
  rest["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
  if (spm.bos_id >= 0) source.named["bos_token"] = spm.bos_piece.empty() ? "<s>" : spm.bos_piece;
  if (spm.eos_id >= 0) source.named["eos_token"] = spm.eos_piece.empty() ? "</s>" : spm.eos_piece;
  if (spm.unk_id >= 0) source.named["unk_token"] = spm.unk_piece.empty() ? "<unk>" : spm.unk_piece;
}

std::string text_of(const Json& config, const char* key, const char* otherwise) {
  const auto found = config.find(key);
  if (found == config.end()) return otherwise;
  if (found->is_string()) return found->get<std::string>();
  return found->is_object() ? text_member(*found, "content", key) : otherwise;
}

void fill_t5(const SentencePieceFile& spm, const Json& config, Source& source, const std::string& where) {
  std::vector<std::pair<std::string, double>> pieces = scored_pieces(spm);
  const uint64_t ids = config.contains("extra_ids") ? count_member(config, "extra_ids", where) : 100;
  if (ids > 100000) throw DataError(where, fmt::format("'extra_ids' is {}, more than 100000", ids));
  for (uint64_t i = ids; i-- > 0;) pieces.emplace_back(fmt::format("<extra_id_{}>", i), 0.0);
  fill_unigram(pieces, source.file.model, where);
}

void fill_xlm_roberta(const SentencePieceFile& spm, const Json& config, Source& source, const std::string& where) {
  std::vector<std::pair<std::string, double>> pieces = {{text_of(config, "bos_token", "<s>"), 0.0},
                                                        {text_of(config, "pad_token", "<pad>"), 0.0},
                                                        {text_of(config, "eos_token", "</s>"), 0.0},
                                                        {text_of(config, "unk_token", "<unk>"), 0.0}};
  for (size_t id = 3; id < spm.pieces.size(); ++id)
    pieces.emplace_back(spm.pieces[id].text, static_cast<double>(spm.pieces[id].score));
  pieces.emplace_back(text_of(config, "mask_token", "<mask>"), 0.0);
  fill_unigram(pieces, source.file.model, where);
}

}  // namespace

Source from_sentencepiece(const std::filesystem::path& path, const SentencePieceFile& spm, const std::string& name,
                          const Json& config) {
  Source source;
  source.path = path;
  const std::string where = path.string();
  source.file.rest = Json::object();
  for (const auto& piece : spm.pieces)
    if (piece.type == SentencePieceFile::kControl || piece.type == SentencePieceFile::kUserDefined)
      source.extra.push_back({piece.text, false, false, false, false, piece.type == SentencePieceFile::kControl});
  if (name == "TokenizersBackend") {
    fill_backend(spm, config, source, where);
    return source;
  }
  const Json charsmap = precompiled(spm);
  if (!charsmap.is_null()) source.file.rest["normalizer"] = charsmap;
  if (name == "LlamaTokenizer" || name == "CodeLlamaTokenizer" || name == "GemmaTokenizer") {
    fill_bpe(spm, {}, source.file.model, where);
    source.file.model.settings = {{"type", "BPE"}};
    return source;
  }
  if (name != "T5Tokenizer" && name != "XLMRobertaTokenizer")
    throw UnsupportedError(where, fmt::format("the class {} reads no SentencePiece model", name),
                           "correct 'tokenizer_class' in tokenizer_config.json");
  if (name == "T5Tokenizer")
    fill_t5(spm, config, source, where);
  else
    fill_xlm_roberta(spm, config, source, where);
  source.file.model.settings = {{"type", "Unigram"}};
  return source;
}

}  // namespace automodel::tokenizer
