#include "automodel/tokenizer/normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

#include "automodel/base/error.h"
#include "automodel/tokenizer/charsmap.h"
#include "automodel/tokenizer/config_reader.h"
#include "automodel/tokenizer/normal_form.h"
#include "automodel/tokenizer/unicode.h"

namespace automodel::tokenizer {

uint32_t byte_to_character(uint8_t byte) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> all{};
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b)
      all[b] = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE ? b : next++;
    return all;
  }();
  return table[byte];
}

int character_to_byte(uint32_t code) {
  static const std::array<int16_t, 512> table = [] {
    std::array<int16_t, 512> all;
    all.fill(-1);
    for (int b = 0; b < 256; ++b) all[byte_to_character(static_cast<uint8_t>(b))] = static_cast<int16_t>(b);
    return all;
  }();
  return code < table.size() ? table[code] : -1;
}

namespace {

size_t length_at(const std::string& text, size_t at) { return utf8_length(static_cast<unsigned char>(text[at])); }

void take(Normalized& now, Normalized& spare) {
  now.text.swap(spare.text);
  now.align.swap(spare.align);
}

// Rewrites character by character: `step(rewrite, code, bytes)` does with each what it wants.
template <class Step>
void rewrite_each(Normalized& now, Normalized& spare, Step step) {
  spare.text.clear();
  spare.align.clear();
  Rewrite rewrite(now, 0, now.origin, spare);
  while (rewrite.at() < now.text.size())
    step(rewrite, decode_utf8(now.text.data() + rewrite.at()), length_at(now.text, rewrite.at()));
  take(now, spare);
}

template <class Drop>
void remove_if(Normalized& now, Normalized& spare, Drop drop) {
  rewrite_each(now, spare,
               [&](Rewrite& r, uint32_t code, size_t bytes) { drop(code) ? r.drop(bytes) : r.keep(bytes); });
}

void lowercase_all(Normalized& now, Normalized& spare) {
  rewrite_each(now, spare, [](Rewrite& r, uint32_t code, size_t bytes) {
    uint32_t second = 0;
    r.replace(lowercase(code, second), bytes);
    if (second) r.insert(second);
  });
}

void normal_form(NormalForm form, Normalized& now, Normalized& spare) {
  spare.text.clear();
  spare.align.clear();
  if (apply_normal_form(form, now, spare)) take(now, spare);
}

struct FormNormalizer final : Normalizer {
  explicit FormNormalizer(NormalForm f) : form(f) {}
  void apply(Normalized& now, Normalized& spare, MatchScratch&) const override { normal_form(form, now, spare); }
  NormalForm form;
};

// A normalizer that is one function.
struct PlainNormalizer final : Normalizer {
  using Function = std::function<void(Normalized&, Normalized&, MatchScratch&)>;
  explicit PlainNormalizer(Function f) : function(std::move(f)) {}
  void apply(Normalized& now, Normalized& spare, MatchScratch& scratch) const override {
    function(now, spare, scratch);
  }
  Function function;
};

struct SequenceNormalizer final : Normalizer {
  void apply(Normalized& now, Normalized& spare, MatchScratch& scratch) const override {
    for (const auto& part : parts) part->apply(now, spare, scratch);
  }
  std::vector<std::unique_ptr<const Normalizer>> parts;
};

struct ReplaceNormalizer final : Normalizer {
  ReplaceNormalizer(Pattern p, std::string c) : pattern(std::move(p)), content(std::move(c)) {}
  void apply(Normalized& now, Normalized& spare, MatchScratch& scratch) const override {
    Matches matches(pattern, now.text, scratch);
    size_t begin, end;
    if (!matches.next(begin, end)) return;
    spare.text.clear();
    spare.align.clear();
    Rewrite rewrite(now, 0, now.origin, spare);
    do {
      rewrite.keep(begin - rewrite.at());
      rewrite.drop(end - begin);
      rewrite.insert(content);
    } while (matches.next(begin, end));
    rewrite.keep(now.text.size() - rewrite.at());
    take(now, spare);
  }
  Pattern pattern;
  std::string content;
};

void prepend(const std::string& content, Normalized& now) {
  if (now.text.empty()) return;
  now.text.insert(0, content);
  if (now.tracked) now.align.insert(now.align.begin(), content.size(), Span(now.align.front()));
}

void strip(bool left, bool right, Normalized& now) {
  size_t begin = 0, end = now.text.size();
  while (left && begin < end && has(decode_utf8(now.text.data() + begin), kSpace)) begin += length_at(now.text, begin);
  while (right && end > begin) {
    const size_t last = previous_utf8(now.text, end);
    if (!has(decode_utf8(now.text.data() + last), kSpace)) break;
    end = last;
  }
  now.text = now.text.substr(begin, end - begin);
  if (now.tracked) now.align = std::vector<Span>(now.align.begin() + begin, now.align.begin() + end);
}

bool is_chinese(uint32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

struct BertNormalizer final : Normalizer {
  void apply(Normalized& now, Normalized& spare, MatchScratch&) const override {
    if (clean) {
      rewrite_each(now, spare, [](Rewrite& r, uint32_t code, size_t bytes) {
        if (has(code, kCleaned))
          r.drop(bytes);
        else if (has(code, kSpace))
          r.replace(' ', bytes);
        else
          r.keep(bytes);
      });
    }
    if (chinese) {
      rewrite_each(now, spare, [](Rewrite& r, uint32_t code, size_t bytes) {
        if (!is_chinese(code)) return r.keep(bytes);
        r.replace(' ', bytes);
        r.insert(code);
        r.insert(" ");
      });
    }
    if (accents) {
      normal_form(NormalForm::kNfd, now, spare);
      remove_if(now, spare, [](uint32_t code) { return has(code, kAccent); });
    }
    if (lower) lowercase_all(now, spare);
  }
  bool clean = true, chinese = true, accents = true, lower = true;
};

void apply_nmt(Normalized& now, Normalized& spare) {
  rewrite_each(now, spare, [](Rewrite& r, uint32_t c, size_t bytes) {
    const bool dropped =
        (c >= 1 && c <= 8) || c == 0xB || (c >= 0xE && c <= 0x1F) || c == 0x7F || c == 0x8F || c == 0x9F;
    const bool blank = c == 9 || c == 0xA || c == 0xC || c == 0xD || c == 0x1680 || (c >= 0x200B && c <= 0x200F) ||
                       c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xFEFF || c == 0xFFFD;
    if (dropped)
      r.drop(bytes);
    else if (blank)
      r.replace(' ', bytes);
    else
      r.keep(bytes);
  });
}

struct PrecompiledNormalizer final : Normalizer {
  using Changes = std::vector<std::pair<uint32_t, int32_t>>;

  explicit PrecompiledNormalizer(Charsmap m) : map(std::move(m)) {}

  void apply(Normalized& now, Normalized& spare, MatchScratch&) const override {
    const std::string_view text = now.text;
    Changes changes;
    bool modified = false;
    for (size_t at = 0; at < text.size();) {
      const size_t end = grapheme_end(text, at);
      const auto whole = end - at < 6 ? map.transform(text.substr(at, end - at)) : std::nullopt;
      if (whole) {
        substitute(changes, text.substr(at, end - at), *whole);
        modified = true;
      }
      for (size_t next = end; !whole && at < end; at = next) {
        next = at + utf8_length(static_cast<unsigned char>(text[at]));
        const std::string_view character = text.substr(at, next - at);
        const auto one = map.transform(character);
        if (one)
          substitute(changes, character, *one);
        else
          changes.emplace_back(decode_utf8(character.data()), 0);
        modified |= one.has_value();
      }
      at = end;
    }
    if (!modified) return;
    spare.text.clear();
    spare.align.clear();
    Rewrite rewrite(now, 0, now.origin, spare);
    for (const auto& [code, change] : changes) rewrite.transform(code, change);
    take(now, spare);
  }

  static size_t grapheme_end(std::string_view text, size_t at) {
    int32_t state = 0;
    auto code = static_cast<int32_t>(decode_utf8(text.data() + at));
    for (at += utf8_length(static_cast<unsigned char>(text[at])); at < text.size();) {
      const auto next = static_cast<int32_t>(decode_utf8(text.data() + at));
      const bool newer = utf8proc_category(next) == UTF8PROC_CATEGORY_CN && has(static_cast<uint32_t>(next), kJoining);
      const auto kind = utf8proc_category(code);
      const bool control = kind >= UTF8PROC_CATEGORY_ZL && kind <= UTF8PROC_CATEGORY_CF;
      if (utf8proc_grapheme_break_stateful(code, next, &state) && (!newer || control)) break;
      code = next;
      at += utf8_length(static_cast<unsigned char>(text[at]));
    }
    return at;
  }

  // The library's account: characters too many are inserted; characters too few make the last one before stand for
  // more, whatever it was.
  static void substitute(Changes& changes, std::string_view old, std::string_view content) {
    const auto difference =
        static_cast<int32_t>(count_characters(content)) - static_cast<int32_t>(count_characters(old));
    for (size_t i = 0; i < content.size(); i += utf8_length(static_cast<unsigned char>(content[i])))
      changes.emplace_back(decode_utf8(content.data() + i), 0);
    for (int32_t i = 0; i < difference; ++i) changes[changes.size() - 1 - static_cast<size_t>(i)].second = 1;
    if (difference < 0 && !changes.empty()) changes.back().second += difference;
  }

  Charsmap map;
};

void apply_byte_level(Normalized& now, Normalized& spare) {
  rewrite_each(now, spare, [&](Rewrite& r, uint32_t, size_t bytes) {
    const size_t at = r.at();
    const auto character = [&](size_t i) { return byte_to_character(static_cast<uint8_t>(now.text[at + i])); };
    r.replace(character(0), bytes);
    for (size_t i = 1; i < bytes; ++i) r.insert(character(i));
  });
}

template <class F>
std::unique_ptr<const Normalizer> plain(F function) {
  return std::make_unique<PlainNormalizer>(
      [function](Normalized& now, Normalized& spare, MatchScratch&) { function(now, spare); });
}

std::unique_ptr<const Normalizer> make_bert(const Json& config, const std::string& where) {
  auto bert = std::make_unique<BertNormalizer>();
  bert->clean = flag_member(config, "clean_text", where);
  bert->chinese = flag_member(config, "handle_chinese_chars", where);
  bert->lower = flag_member(config, "lowercase", where);
  bert->accents = flag_member(config, "strip_accents", where, bert->lower);
  return bert;
}

Pattern pattern_of(const Json& config, const std::string& where) {
  const Json& pattern = member(config, "pattern", where);
  if (pattern.is_object() && pattern.contains("String")) return Pattern::literal(text_member(pattern, "String", where));
  return Pattern::regex(text_member(pattern, "Regex", where), where);
}

}  // namespace

std::unique_ptr<const Normalizer> make_normalizer(const Json& config, const std::string& where) {
  if (config.is_null()) return nullptr;
  const std::string type = type_of(config, where);
  if (type == "Sequence") {
    auto sequence = std::make_unique<SequenceNormalizer>();
    for (const Json& part : array_member(config, "normalizers", where))
      if (auto made = make_normalizer(part, where)) sequence->parts.push_back(std::move(made));
    return sequence;
  }
  if (type == "NFC") return std::make_unique<FormNormalizer>(NormalForm::kNfc);
  if (type == "NFD") return std::make_unique<FormNormalizer>(NormalForm::kNfd);
  if (type == "NFKC") return std::make_unique<FormNormalizer>(NormalForm::kNfkc);
  if (type == "NFKD") return std::make_unique<FormNormalizer>(NormalForm::kNfkd);
  if (type == "Lowercase") return plain(lowercase_all);
  if (type == "Nmt") return plain(apply_nmt);
  if (type == "ByteLevel") return plain(apply_byte_level);
  if (type == "StripAccents")
    return plain([](Normalized& now, Normalized& spare) {
      remove_if(now, spare, [](uint32_t c) { return has(c, kCombining); });
    });
  if (type == "BertNormalizer") return make_bert(config, where);
  if (type == "Precompiled")
    return std::make_unique<PrecompiledNormalizer>(Charsmap(text_member(config, "precompiled_charsmap", where), where));
  if (type == "Replace")
    return std::make_unique<ReplaceNormalizer>(pattern_of(config, where), text_member(config, "content", where));
  if (type == "Prepend")
    return plain(
        [content = text_member(config, "prepend", where)](Normalized& now, Normalized&) { prepend(content, now); });
  if (type == "Strip")
    return plain([left = flag_member(config, "strip_left", where), right = flag_member(config, "strip_right", where)](
                     Normalized& now, Normalized&) { strip(left, right, now); });
  throw UnsupportedError(where, fmt::format("the normalizer type '{}' is not known to this build", type));
}

}  // namespace automodel::tokenizer
