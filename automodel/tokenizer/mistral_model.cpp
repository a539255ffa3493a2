#include "automodel/tokenizer/mistral_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <unordered_map>

#include "automodel/base/error.h"
#include "automodel/base/log.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/sentencepiece.h"
#include "automodel/tokenizer/template_files.h"

namespace automodel::tokenizer {

namespace fs = std::filesystem;

namespace {

class MistralModel : public Tokenizer {
 public:
  MistralModel(std::shared_ptr<const Tokenizer> model, bool begins, bool ends)
      : model_(std::move(model)), begins_(begins), ends_(ends) {
    for (int32_t id = 0; id < model_->vocab_size(); ++id) {
      if (!model_->is_special(id)) continue;
      const std::string text = *model_->id_to_token(id);
      controls_.emplace(text, id);
      sizes_.insert(text.size());
      first_[static_cast<unsigned char>(text[0])] = true;
    }
    const auto name = [&](const char* text, std::string& token, std::optional<int32_t>& id) {
      if (const auto found = model_->token_to_id(text)) token = text, id = found;
    };
    std::optional<int32_t> unknown;
    name("<s>", bos_token, bos_id);
    name("</s>", eos_token, eos_id);
    name("<pad>", pad_token, pad_id);
    name("<unk>", unk_token, unknown);
  }

  std::vector<int32_t> encode(std::string_view text, bool add_special) const override {
    return run(text, add_special,
               [&](std::string_view part, size_t, Encoding& out) {
                 const auto ids = model_->encode(part, false);
                 out.ids.insert(out.ids.end(), ids.begin(), ids.end());
               })
        .ids;
  }

  Encoding encode_with_offsets(std::string_view text, bool add_special) const override {
    return run(text, add_special, [&](std::string_view part, size_t at, Encoding& out) {
      const Encoding encoding = model_->encode_with_offsets(part, false);
      out.ids.insert(out.ids.end(), encoding.ids.begin(), encoding.ids.end());
      for (const auto& [begin, end] : encoding.offsets) out.offsets.emplace_back(begin + at, end + at);
    });
  }

  std::string decode(std::span<const int32_t> ids, bool skip_special) const override {
    if (skip_special) return model_->decode(ids, true);
    std::string text;
    for (size_t at = 0, end; at < ids.size(); at = end) {
      end = at;
      while (end < ids.size() && !model_->is_special(ids[end])) ++end;
      text += model_->decode(ids.subspan(at, end - at), false);
      if (end < ids.size()) text += *model_->id_to_token(ids[end++]);
    }
    return text;
  }

  int64_t vocab_size() const override { return model_->vocab_size(); }
  std::optional<int32_t> token_to_id(std::string_view token) const override { return model_->token_to_id(token); }
  std::optional<std::string> id_to_token(int32_t id) const override { return model_->id_to_token(id); }
  bool is_special(int32_t id) const override { return model_->is_special(id); }

 private:
  // The longest control piece that begins here.
  const std::pair<const std::string, int32_t>* control_at(std::string_view text, size_t at) const {
    if (!first_[static_cast<unsigned char>(text[at])]) return nullptr;
    for (auto size = sizes_.rbegin(); size != sizes_.rend(); ++size) {
      if (*size > text.size() - at) continue;
      const auto found = controls_.find(std::string(text.substr(at, *size)));
      if (found != controls_.end()) return &*found;
    }
    return nullptr;
  }

  // `part`(text, where it begins, out) appends what stands between control pieces.
  template <class Part>
  Encoding run(std::string_view text, bool add_special, const Part& part) const {
    Encoding out;
    const auto add = [&](int32_t id, size_t begin, size_t end) {
      out.ids.push_back(id);
      out.offsets.emplace_back(begin, end);
    };
    if (add_special && begins_ && bos_id) add(*bos_id, 0, 0);
    size_t from = 0;
    for (size_t at = 0; at < text.size();) {
      const auto* control = control_at(text, at);
      if (!control) {
        ++at;
        continue;
      }
      if (at > from) part(text.substr(from, at - from), from, out);
      add(control->second, at, at + control->first.size());
      from = at += control->first.size();
    }
    if (from < text.size()) part(text.substr(from), from, out);
    if (add_special && ends_ && eos_id) add(*eos_id, 0, 0);
    return out;
  }

  std::shared_ptr<const Tokenizer> model_;
  bool begins_, ends_;
  std::unordered_map<std::string, int32_t> controls_;
  std::set<size_t> sizes_;
  std::array<bool, 256> first_{};
};

// Tokens that transformers would add, and the model must have already.
void check_added_tokens(const Json& config, const Tokenizer& model, const std::string& where) {
  const auto added = config.find("added_tokens_decoder");
  if (added == config.end() || !added->is_object()) return;
  for (const auto& [id, token] : added->items()) {
    const std::string text = text_member(token, "content", where);
    const auto found = model.token_to_id(text);
    if (!found || std::to_string(*found) != id)
      throw UnsupportedError(where, fmt::format("adds the token '{}' with the id {}, which the model lacks", text, id),
                             "name the model tokenizer.model for transformers' rules");
  }
}

}  // namespace

std::optional<fs::path> find_mistral_model(const fs::path& folder) {
  if (!fs::is_directory(folder)) return std::nullopt;
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    static const std::set<std::string> kOthers = {"tokenizer.json", "tekken.json", "vocab.json", "vocab.txt"};
    if (kOthers.contains(name) || name.ends_with(".model") || name.ends_with(".tiktoken")) return std::nullopt;
    if (is_versioned_sentencepiece_name(name)) found.push_back(entry.path());
  }
  if (found.empty()) return std::nullopt;
  const auto last = *std::max_element(found.begin(), found.end());
  if (found.size() > 1)
    log_warning(fmt::format("{}: holds {} versions of a SentencePiece model; taken is {}, as mistral-common does",
                            folder.string(), found.size(), last.filename().string()));
  return last;
}

std::shared_ptr<const Tokenizer> load_mistral_model(const fs::path& path, const Json& config) {
  const std::string where = (path.parent_path() / "tokenizer_config.json").string();
  auto tokenizer =
      std::make_shared<MistralModel>(load_sentencepiece(path), flag_member(config, "add_bos_token", where, true),
                                     flag_member(config, "add_eos_token", where, false));
  check_added_tokens(config, *tokenizer, where);
  tokenizer->chat_templates = read_chat_templates(path.parent_path(), config);
  if (const auto found = tokenizer->chat_templates.find("default"); found != tokenizer->chat_templates.end())
    tokenizer->chat_template = found->second;
  tokenizer->config = config;
  return tokenizer;
}

}  // namespace automodel::tokenizer
