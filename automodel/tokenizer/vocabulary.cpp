#include "automodel/tokenizer/vocabulary.h"

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
  std::vector<uint64_t> slots(slots_.size());
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
  if (contains(id) || find(token) >= 0) return false;
  if ((count_ + 1) * 2 > slots_.size()) {
    slots_.resize(std::max<size_t>(64, slots_.size() * 2));
    grow();
  }
  if (static_cast<size_t>(id) >= by_id_.size()) by_id_.resize(static_cast<size_t>(id) + 1);
  by_id_[static_cast<size_t>(id)] = {static_cast<uint32_t>(arena_.size()), static_cast<uint32_t>(token.size()), true};
  arena_.append(token);
  ++count_;
  const uint64_t hash = hash_bytes(token);
  const size_t mask = slots_.size() - 1;
  size_t slot = hash & mask;
  while (slots_[slot]) slot = (slot + 1) & mask;
  slots_[slot] = (hash >> 32) << 32 | (static_cast<uint64_t>(id) + 1);
  return true;
}

int32_t Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return -1;
  const uint64_t hash = hash_bytes(token);
  const size_t mask = slots_.size() - 1;
  for (size_t slot = hash & mask; slots_[slot]; slot = (slot + 1) & mask) {
    if (slots_[slot] >> 32 != hash >> 32) continue;
    const auto id = static_cast<int32_t>((slots_[slot] & 0xFFFFFFFF) - 1);
    if (view(by_id_[static_cast<size_t>(id)]) == token) return id;
  }
  return -1;
}

std::string_view Vocabulary::token(int32_t id) const { return view(by_id_[static_cast<size_t>(id)]); }

}  // namespace automodel::tokenizer
