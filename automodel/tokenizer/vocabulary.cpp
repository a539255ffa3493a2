#include "automodel/tokenizer/vocabulary.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace automodel::tokenizer {

static uint64_t mix(uint64_t a, uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t hash_bytes(std::string_view bytes) {
  constexpr uint64_t kA = 0x9E3779B97F4A7C15ull, kB = 0xD6E8FEB86659FD93ull;
  const char* at = bytes.data();
  size_t left = bytes.size();
  uint64_t hash = kA ^ left, word;
  for (; left >= 8; left -= 8, at += 8) {
    std::memcpy(&word, at, 8);
    hash = mix(hash ^ word, kB);
  }
  word = 0;
  if (left >= 4) {
    uint32_t low, high;
    std::memcpy(&low, at, 4);
    std::memcpy(&high, at + left - 4, 4);
    word = static_cast<uint64_t>(high) << 32 | low;
  } else if (left > 0) {
    word = static_cast<unsigned char>(at[0]) | static_cast<uint64_t>(static_cast<unsigned char>(at[left / 2])) << 8 |
           static_cast<uint64_t>(static_cast<unsigned char>(at[left - 1])) << 16;
  }
  return mix(hash ^ word, kA);
}

void Vocabulary::reserve(size_t tokens, size_t bytes) {
  arena_.reserve(bytes);
  by_id_.reserve(tokens);
  const size_t slots = std::bit_ceil(tokens * 2 + 16);
  if (slots > slots_.size()) {
    slots_.resize(slots);
    grow();
  }
}

void Vocabulary::grow() {
  HugeVector<uint64_t> slots(slots_.size());
  const size_t mask = slots.size() - 1;
  for (size_t id = 0; id < by_id_.size(); ++id) {
    if (!by_id_[id].used) continue;
    const uint64_t hash = hash_bytes(view(by_id_[id]));
    size_t slot = hash & mask;
    while (slots[slot]) slot = (slot + 1) & mask;
    slots[slot] = (hash >> 32) << 32 | (id + 1);
  }
  slots_.swap(slots);
}

bool Vocabulary::add(std::string_view token, int32_t id) {
  if (contains(id)) return false;
  if ((count_ + 1) * 2 > slots_.size()) {
    slots_.resize(std::max<size_t>(64, slots_.size() * 2));
    grow();
  }
  const uint64_t hash = hash_bytes(token);
  size_t slot = 0;
  if (find(token, hash, slot) >= 0) return false;
  if (static_cast<size_t>(id) >= by_id_.size()) by_id_.resize(static_cast<size_t>(id) + 1);
  by_id_[static_cast<size_t>(id)] = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(token.size()), true};
  arena_.append(token);
  ++count_;
  slots_[slot] = (hash >> 32) << 32 | (static_cast<uint64_t>(id) + 1);
  return true;
}

int32_t Vocabulary::find(std::string_view token, uint64_t hash, size_t& slot) const {
  const size_t mask = slots_.size() - 1;
  for (slot = hash & mask; slots_[slot]; slot = (slot + 1) & mask) {
    if (slots_[slot] >> 32 != hash >> 32) continue;
    const auto id = static_cast<int32_t>((slots_[slot] & 0xFFFFFFFF) - 1);
    if (view(by_id_[static_cast<size_t>(id)]) == token) return id;
  }
  return -1;
}

int32_t Vocabulary::find(std::string_view token) const {
  size_t slot = 0;
  return slots_.empty() ? -1 : find(token, hash_bytes(token), slot);
}

void Vocabulary::find_all(std::span<const std::string_view> tokens, std::span<int32_t> ids) const {
  if (count_ == 0) return std::fill(ids.begin(), ids.end(), -1);
  constexpr size_t kAhead = 32;
  uint64_t hashes[kAhead];
  const size_t mask = slots_.size() - 1;
  const auto likely = [&](size_t i) -> const Entry& {
    const uint64_t found = slots_[hashes[i] & mask] & 0xFFFFFFFF;
    return by_id_[found ? found - 1 : 0];
  };
  for (size_t first = 0; first < tokens.size(); first += kAhead) {
    const size_t count = std::min(kAhead, tokens.size() - first);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = hash_bytes(tokens[first + i]);
      __builtin_prefetch(&slots_[hashes[i] & mask]);
    }
    for (size_t i = 0; i < count; ++i) __builtin_prefetch(&likely(i));
    for (size_t i = 0; i < count; ++i) __builtin_prefetch(arena_.data() + likely(i).begin);
    for (size_t i = 0; i < count; ++i) {
      size_t slot = 0;
      ids[first + i] = find(tokens[first + i], hashes[i], slot);
    }
  }
}

std::string_view Vocabulary::token(int32_t id) const { return view(by_id_[static_cast<size_t>(id)]); }

}  // namespace automodel::tokenizer
