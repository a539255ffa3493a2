#include "automodel/data/packing.h"

#include <fmt/format.h>

#include <algorithm>

#include "automodel/base/error.h"

namespace automodel::data {

static constexpr int64_t kWindowTokens = 1
                                         << 22;  // bounds the window's memory at 32 MiB however long the documents are

OverLong parse_over_long(const std::string& name) {
  if (name == "truncate") return OverLong::Truncate;
  if (name == "split") return OverLong::Split;
  if (name == "drop") return OverLong::Drop;
  if (name == "error") return OverLong::Error;
  throw ConfigError("over_long", fmt::format("'{}' is nothing to do with over-long samples", name),
                    "known: truncate, split, drop, error");
}

Packer::Packer(int64_t budget, Packing packing, int64_t window)
    : budget_(budget), packing_(packing), window_(std::max<int64_t>(window, 1)) {}

void Packer::add(Document document) {
  const int64_t tokens = document.sample.tokens();
  AM_CHECK(tokens > 0 && (budget_ == 0 || tokens <= budget_), "{} tokens for packs of {}", tokens, budget_);
  tokens_ += tokens;
  pending_.push_back(std::move(document));
}

bool Packer::ready(bool ended) const {
  if (pending_.empty()) return false;
  if (ended || budget_ == 0) return true;
  if (packing_ == Packing::Sequential) return tokens_ >= budget_;
  const bool full = static_cast<int64_t>(pending_.size()) >= window_;
  return (full && tokens_ >= budget_) || tokens_ >= std::max(kWindowTokens, 4 * budget_);
}

void Packer::move_out(size_t index, std::vector<Document>& pack) {
  tokens_ -= pending_[index].sample.tokens();
  pack.push_back(std::move(pending_[index]));
  pending_.erase(pending_.begin() + static_cast<long>(index));
}

size_t Packer::largest_that_fits(int64_t room) const {
  size_t best = pending_.size();
  for (size_t i = 0; i < pending_.size(); ++i) {
    const int64_t tokens = pending_[i].sample.tokens();
    if (tokens <= room && (best == pending_.size() || tokens > pending_[best].sample.tokens())) best = i;
  }
  return best;
}

std::vector<Document> Packer::take() {
  AM_CHECK(!pending_.empty(), "nothing to pack");
  std::vector<Document> pack;
  int64_t room = budget_ - pending_.front().sample.tokens();
  move_out(0, pack);
  if (budget_ == 0) return pack;
  if (packing_ == Packing::BestFit) {
    for (size_t i; (i = largest_that_fits(room)) < pending_.size();) {
      room -= pending_[i].sample.tokens();
      move_out(i, pack);
    }
    return pack;
  }
  for (size_t i = 0; i < pending_.size() && room > 0;) {
    const int64_t tokens = pending_[i].sample.tokens();
    if (tokens <= room) {
      room -= tokens;
      move_out(i, pack);
    } else if (packing_ == Packing::Sequential) {
      break;
    } else {
      ++i;
    }
  }
  return pack;
}

std::vector<Sample> fit(Sample sample, int64_t limit, OverLong over_long, Statistics& statistics) {
  const int64_t tokens = sample.tokens();
  std::vector<Sample> documents;
  if (limit == 0 || tokens <= limit) {
    documents.push_back(std::move(sample));
    return documents;
  }
  if (over_long == OverLong::Drop || over_long == OverLong::Error) {
    ++statistics.dropped_documents;
    statistics.dropped_tokens += tokens;
    return documents;
  }
  if (over_long == OverLong::Truncate) {
    ++statistics.truncated_samples;
    statistics.truncated_tokens += tokens - limit;
  } else {
    ++statistics.split_samples;
  }
  for (int64_t begin = 0; begin < (over_long == OverLong::Split ? tokens : limit); begin += limit) {
    const int64_t end = std::min(begin + limit, tokens);
    Sample piece{{sample.ids.begin() + begin, sample.ids.begin() + end},
                 {sample.labels.begin() + begin, sample.labels.begin() + end},
                 {}};
    for (const int32_t start : sample.starts)
      if (start > begin && start < end) piece.starts.push_back(static_cast<int32_t>(start - begin));
    if (piece.trained_tokens() > 0) {
      documents.push_back(std::move(piece));
    } else {
      ++statistics.dropped_documents;
      statistics.dropped_tokens += piece.tokens();
    }
  }
  return documents;
}

}  // namespace automodel::data
