#include "automodel/optim/lr_schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>
#include <vector>

#include "automodel/base/error.h"
#include "automodel/base/text.h"

namespace automodel::optim {
namespace {

std::string key(const char* name) { return std::string("lr_scheduler.") + name; }

template <class Enum>
Enum choose(const char* name, const std::string& word, const std::vector<std::pair<std::string, Enum>>& choices) {
  std::vector<std::string> words;
  for (const auto& [known, value] : choices) {
    if (known == word) return value;
    words.push_back(known);
  }
  const std::string near = nearest(word, words);
  throw ConfigError(key(name), fmt::format("is '{}', expected one of {}", word, join(words, ", ")),
                    near.empty() ? "" : fmt::format("did you mean '{}'?", near));
}

void require(bool condition, const char* name, const std::string& text, const std::string& hint = "") {
  if (!condition) throw ConfigError(key(name), text, hint);
}

double half_cosine(double share) { return 0.5 * (std::cos(std::numbers::pi * share) + 1.0); }

}  // namespace

LrSchedule LrSchedule::fixed(double lr, double weight_decay) {
  LrSchedule schedule;
  schedule.init_lr_ = schedule.max_lr_ = schedule.min_lr_ = lr;
  schedule.start_wd_ = schedule.end_wd_ = weight_decay;
  return schedule;
}

LrSchedule LrSchedule::make(const config::LrSchedulerSection& settings, double lr, double weight_decay,
                            int64_t total_steps) {
  AM_CHECK(total_steps > 0, "{}", total_steps);
  LrSchedule s;
  s.init_lr_ = settings.init_lr.value_or(lr * 0.1);
  s.max_lr_ = settings.max_lr.value_or(lr);
  s.min_lr_ = settings.min_lr.value_or(lr * 0.01);
  s.warmup_steps_ = settings.lr_warmup_steps.value_or(std::min<int64_t>(1000, total_steps / 10));
  s.decay_steps_ = settings.lr_decay_steps.value_or(total_steps);
  s.start_wd_ = settings.start_wd.value_or(weight_decay);
  s.end_wd_ = settings.end_wd.value_or(weight_decay);
  s.increment_steps_ = settings.wd_incr_steps.value_or(total_steps);
  s.style_ = choose<Style>("lr_decay_style", settings.lr_decay_style,
                           {{"cosine", Style::Cosine},
                            {"linear", Style::Linear},
                            {"constant", Style::Constant},
                            {"inverse-square-root", Style::InverseSquareRoot},
                            {"WSD", Style::Wsd}});
  s.increment_ = choose<Increment>(
      "wd_incr_style", settings.wd_incr_style,
      {{"constant", Increment::Constant}, {"linear", Increment::Linear}, {"cosine", Increment::Cosine}});

  require(s.min_lr_ >= 0 && std::isfinite(s.min_lr_), "min_lr", fmt::format("is {}, expected at least 0", s.min_lr_));
  require(s.max_lr_ >= s.min_lr_ && std::isfinite(s.max_lr_), "max_lr",
          fmt::format("is {}, expected at least min_lr {}", s.max_lr_, s.min_lr_),
          "lower lr_scheduler.min_lr or raise optimizer.lr");
  require(s.init_lr_ <= s.max_lr_ && s.init_lr_ >= 0, "init_lr",
          fmt::format("is {}, expected between 0 and max_lr {}", s.init_lr_, s.max_lr_));
  require(s.warmup_steps_ >= 0, "lr_warmup_steps", fmt::format("is {}, expected at least 0", s.warmup_steps_));
  require(s.decay_steps_ > 0, "lr_decay_steps", fmt::format("is {}, expected at least 1", s.decay_steps_));
  require(s.warmup_steps_ < s.decay_steps_, "lr_warmup_steps",
          fmt::format("is {}, expected fewer than the {} steps of the decay", s.warmup_steps_, s.decay_steps_),
          "shorten the warm-up, or set lr_scheduler.lr_decay_steps");
  require(s.start_wd_ >= 0, "start_wd", fmt::format("is {}, expected at least 0", s.start_wd_));
  require(s.end_wd_ >= s.start_wd_, "end_wd",
          fmt::format("is {}, expected at least start_wd {}", s.end_wd_, s.start_wd_));
  require(s.increment_ != Increment::Constant || s.start_wd_ == s.end_wd_, "wd_incr_style",
          fmt::format("is constant, but start_wd {} and end_wd {} differ", s.start_wd_, s.end_wd_),
          "choose linear or cosine");
  require(s.increment_steps_ >= 0 && (s.increment_ == Increment::Constant || s.increment_steps_ > 0), "wd_incr_steps",
          fmt::format("is {}, expected at least 1", s.increment_steps_));
  if (s.style_ == Style::Wsd) {
    require(settings.wsd_decay_steps.has_value(), "wsd_decay_steps", "is missing; the WSD style needs it");
    require(settings.lr_wsd_decay_style.has_value(), "lr_wsd_decay_style", "is missing; the WSD style needs it",
            "linear, cosine, exponential or minus_sqrt");
    s.wsd_steps_ = *settings.wsd_decay_steps;
    require(s.wsd_steps_ > 0, "wsd_decay_steps", fmt::format("is {}, expected at least 1", s.wsd_steps_));
    s.wsd_style_ = choose<WsdStyle>("lr_wsd_decay_style", *settings.lr_wsd_decay_style,
                                    {{"linear", WsdStyle::Linear},
                                     {"cosine", WsdStyle::Cosine},
                                     {"exponential", WsdStyle::Exponential},
                                     {"minus_sqrt", WsdStyle::MinusSqrt}});
  }
  return s;
}

double LrSchedule::decay_share(int64_t n) const {
  const double done = static_cast<double>(n - warmup_steps_) / static_cast<double>(decay_steps_ - warmup_steps_);
  if (style_ == Style::Linear) return 1.0 - done;
  if (style_ == Style::Cosine) return half_cosine(done);
  const int64_t start = decay_steps_ - wsd_steps_;
  if (n <= start) return 1.0;
  const double q = static_cast<double>(n - start) / static_cast<double>(wsd_steps_);
  switch (wsd_style_) {
    case WsdStyle::Linear:
      return 1.0 - q;
    case WsdStyle::Cosine:
      return half_cosine(q);
    case WsdStyle::Exponential:
      return 2.0 * std::pow(0.5, q) - 1.0;
    case WsdStyle::MinusSqrt:
      return 1.0 - std::sqrt(q);
  }
  return 1.0;
}

double LrSchedule::lr(int64_t n) const {
  AM_CHECK(n >= 0, "{}", n);
  if (warmup_steps_ > 0 && n <= warmup_steps_)
    return init_lr_ + (max_lr_ - init_lr_) * static_cast<double>(n) / static_cast<double>(warmup_steps_);
  if (style_ == Style::Constant) return max_lr_;
  if (n > decay_steps_) return min_lr_;
  if (style_ == Style::InverseSquareRoot) {
    const double warmup = std::sqrt(static_cast<double>(std::max<int64_t>(warmup_steps_, 1)));
    return std::max(min_lr_, max_lr_ * warmup / std::sqrt(static_cast<double>(std::max<int64_t>(n, 1))));
  }
  return min_lr_ + decay_share(n) * (max_lr_ - min_lr_);
}

double LrSchedule::weight_decay(int64_t n) const {
  AM_CHECK(n >= 0, "{}", n);
  if (n > increment_steps_ || increment_ == Increment::Constant) return end_wd_;
  const double share = static_cast<double>(n) / static_cast<double>(increment_steps_);
  return start_wd_ + (increment_ == Increment::Linear ? share : half_cosine(1 - share)) * (end_wd_ - start_wd_);
}

std::string LrSchedule::describe() const {
  static constexpr const char* kNames[] = {"constant", "linear", "cosine", "inverse-square-root", "WSD"};
  std::string text = style_ == Style::Constant
                         ? fmt::format("constant {:g}", max_lr_)
                         : fmt::format("{} from {:g} to {:g} in {} steps", kNames[static_cast<int>(style_)], max_lr_,
                                       min_lr_, decay_steps_);
  if (warmup_steps_ > 0) text += fmt::format(", {} of warm-up from {:g}", warmup_steps_, init_lr_);
  return text;
}

}  // namespace automodel::optim
