#include "automodel/tokenizer/normal_form.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <memory>
#include <unordered_map>

namespace automodel::tokenizer {

namespace {

constexpr uint32_t kCodes = 0x110000;

struct Change {  // one character of the new text: 1 inserted, 0 in place of one, -n in place of 1 + n
  uint32_t code;
  int32_t change;
  uint8_t order;  // canonical combining class
};

uint8_t combining_class(uint32_t code) {
  return is_normalization_inert(code)
             ? 0
             : static_cast<uint8_t>(utf8proc_get_property(static_cast<int32_t>(code))->combining_class);
}

// The full decomposition of `code` into `out`; its size.
size_t decompose(uint32_t code, bool compatible, std::array<int32_t, 32>& out) {
  if (is_normalization_inert(code)) {
    out[0] = static_cast<int32_t>(code);
    return 1;
  }
  int boundary = 0;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_DECOMPOSE | (compatible ? UTF8PROC_COMPAT : 0));
  return static_cast<size_t>(
      utf8proc_decompose_char(static_cast<int32_t>(code), out.data(), out.size(), options, &boundary));
}

// What composes with what, and which characters a form leaves alone wherever they stand.
struct Tables {
  std::unordered_map<uint64_t, uint32_t> pairs;
  std::array<std::unique_ptr<std::bitset<kCodes>>, 4> unstable;

  Tables() {
    for (auto& set : unstable) set = std::make_unique<std::bitset<kCodes>>();
    std::vector<uint32_t> decomposing;
    for (uint32_t code = 0xA0; code < kCodes; ++code) {
      if (code == 0x3400 || code == 0x4E00 || code == 0xE000)
        code = code == 0x3400 ? 0x4DC0 : code == 0x4E00 ? 0xA000 : 0xF900;
      if (code == 0xD800) code = 0xF900;
      if (code == 0x30000) code = 0xE0000;
      const auto* property = utf8proc_get_property(static_cast<int32_t>(code));
      const bool hangul = code >= 0xAC00 && code <= 0xD7A3, jamo = code >= 0x1100 && code <= 0x11FF;
      if (is_normalization_inert(code)) continue;
      if (property->combining_class || jamo)
        for (auto& set : unstable) set->set(code);
      if (property->decomp_seqindex != UINT16_MAX || hangul) decomposing.push_back(code);
    }
    for (const uint32_t code : decomposing) add(code);
  }

  void add(uint32_t code) {
    std::array<int32_t, 32> parts;
    const size_t canonical = decompose(code, false, parts);
    const bool decomposes = canonical > 1 || parts[0] != static_cast<int32_t>(code);
    unstable[static_cast<int>(NormalForm::kNfkd)]->set(code);
    if (decomposes) unstable[static_cast<int>(NormalForm::kNfd)]->set(code);
    const bool hangul = code >= 0xAC00 && code <= 0xD7A3;
    if (hangul) return;
    std::array<int32_t, 32> compatible;
    if (decompose(code, true, compatible) != canonical ||
        !std::equal(parts.begin(), parts.begin() + canonical, compatible.begin()))
      unstable[static_cast<int>(NormalForm::kNfkc)]->set(code);
    if (!decomposes) return;
    const int32_t last = parts[canonical - 1];
    std::array<int32_t, 32> whole = parts;
    const auto compose = [](int32_t* at, size_t n) {
      return utf8proc_normalize_utf32(at, static_cast<utf8proc_ssize_t>(n),
                                      static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
    };
    if (compose(whole.data(), canonical) == 1 && whole[0] == static_cast<int32_t>(code) && canonical > 1) {
      if (compose(parts.data(), canonical - 1) == 1)
        pairs[static_cast<uint64_t>(parts[0]) << 32 | static_cast<uint32_t>(last)] = code;
      for (const auto form : {NormalForm::kNfc, NormalForm::kNfkc})
        unstable[static_cast<int>(form)]->set(static_cast<uint32_t>(last));
    } else {
      for (const auto form : {NormalForm::kNfc, NormalForm::kNfkc}) unstable[static_cast<int>(form)]->set(code);
    }
  }
};

const Tables& tables() {
  static const Tables all;
  return all;
}

uint32_t compose_pair(uint32_t a, uint32_t b) {  // 0: they do not compose
  constexpr uint32_t kL = 0x1100, kV = 0x1161, kT = 0x11A7, kS = 0xAC00;
  if (a >= kL && a < kL + 19 && b >= kV && b < kV + 21) return kS + ((a - kL) * 21 + (b - kV)) * 28;
  if (a >= kS && a < kS + 11172 && (a - kS) % 28 == 0 && b > kT && b < kT + 28) return a + (b - kT);
  const auto& pairs = tables().pairs;
  const auto found = pairs.find(static_cast<uint64_t>(a) << 32 | b);
  return found == pairs.end() ? 0 : found->second;
}

void sort_marks(std::vector<Change>& changes) {
  for (size_t i = 0; i < changes.size();) {
    if (changes[i].order == 0) {
      ++i;
      continue;
    }
    size_t end = i;
    while (end < changes.size() && changes[end].order != 0) ++end;
    std::stable_sort(changes.begin() + i, changes.begin() + end,
                     [](const Change& a, const Change& b) { return a.order < b.order; });
    i = end;
  }
}

void compose(std::vector<Change>& changes) {
  std::vector<Change> out;
  size_t starter = SIZE_MAX;
  uint8_t last_order = 0;
  for (const Change& next : changes) {
    const bool blocked = starter != SIZE_MAX && starter + 1 < out.size() && last_order >= next.order;
    if (starter != SIZE_MAX && !blocked) {
      if (const uint32_t whole = compose_pair(out[starter].code, next.code)) {
        out[starter].code = whole;
        out[starter].change += next.change - 1;
        continue;
      }
    }
    if (next.order == 0) starter = out.size();
    last_order = next.order;
    out.push_back(next);
  }
  changes.swap(out);
}

}  // namespace

bool apply_normal_form(NormalForm form, const Normalized& from, Normalized& to) {
  if (is_ascii(from.text)) return false;
  const auto& unstable = *tables().unstable[static_cast<int>(form)];
  const bool composes = form == NormalForm::kNfc || form == NormalForm::kNfkc;
  const bool compatible = form == NormalForm::kNfkc || form == NormalForm::kNfkd;
  const std::string_view text = from.text;
  Rewrite rewrite(from, 0, from.origin, to);
  bool changed = false;
  std::vector<Change> changes;
  std::array<int32_t, 32> parts;
  size_t starter = 0;  // the last stable character before `at`
  for (size_t at = 0; at < text.size();) {
    const uint32_t code = decode_utf8(text.data() + at);
    if (code < 0xA0 || !unstable[code]) {
      starter = at;
      at += utf8_length(static_cast<unsigned char>(text[at]));
      continue;
    }
    changed = true;
    const size_t begin = std::max(starter, rewrite.at());
    rewrite.keep(begin - rewrite.at());
    size_t end = at;  // over all that is unstable
    while (end < text.size()) {
      const uint32_t next = decode_utf8(text.data() + end);
      if (next < 0xA0 || !unstable[next]) break;
      end += utf8_length(static_cast<unsigned char>(text[end]));
    }
    changes.clear();
    for (size_t i = begin; i < end; i += utf8_length(static_cast<unsigned char>(text[i]))) {
      const size_t count = decompose(decode_utf8(text.data() + i), compatible, parts);
      for (size_t k = 0; k < count; ++k) {
        const auto part = static_cast<uint32_t>(parts[k]);
        changes.push_back({part, k > 0, combining_class(part)});
      }
    }
    sort_marks(changes);
    if (composes) compose(changes);
    for (const Change& c : changes) rewrite.transform(c.code, c.change);
    if (rewrite.at() < end) rewrite.drop(end - rewrite.at());
    starter = at = end;
  }
  if (!changed) {
    to.text.clear();
    to.align.clear();
    return false;
  }
  rewrite.keep(text.size() - rewrite.at());
  return true;
}

}  // namespace automodel::tokenizer
