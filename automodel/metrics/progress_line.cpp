#include "automodel/metrics/progress_line.h"

#include <fmt/format.h>

#include <cmath>

#include "automodel/base/text.h"

namespace automodel::metrics {

// As a person writes it: 65536, 0.0123, 1.2e-07.
static std::string number_text(double value) {
  if (value == std::floor(value) && std::abs(value) < 1e15) return fmt::format("{:.0f}", value);
  return std::abs(value) >= 1000 && std::abs(value) < 1e15 ? fmt::format("{:.1f}", value)
                                                           : fmt::format("{:.4g}", value);
}

std::string step_line(const StepRecord& r, const StepSpeed& s) {
  std::string line = fmt::format(
      "step {} | epoch {} | loss {:.4f}{} | lr {:.2e} | mem {:.2f} GiB | tps {:.2f}({:.2f}/gpu) | num_label_tokens {}",
      r.step, r.epoch, r.loss, r.grad_norm ? fmt::format(" | grad_norm {:.4f}", *r.grad_norm) : "", r.lr, s.mem_gib,
      s.tps, s.tps_per_gpu, r.num_label_tokens);
  for (const auto& [name, value] : r.extra) line += fmt::format(" | {} {}", name, number_text(value));
  line += fmt::format(" | trained_tps {:.2f}", s.window_trained_tps);
  if (s.seconds_left) line += " | left " + format_duration(*s.seconds_left);
  return line;
}

std::string validation_line(const ValRecord& r) {
  std::string line =
      fmt::format("[val] name \"{}\" | step {} | epoch {} | loss {:.4f} | lr {:.2e} | num_label_tokens {}", r.name,
                  r.step, r.epoch, r.val_loss, r.lr, r.num_label_tokens);
  for (const auto& [name, value] : r.extra) line += fmt::format(" | {} {}", name, number_text(value));
  return line;
}

std::string status_line(const StepRecord& r, const StepSpeed& s, size_t width) {
  std::string line = fmt::format("step {}/{} | loss {:.4f} | {} tokens/s ({} trained)", r.step + 1, s.total_steps,
                                 s.average_loss, format_count(static_cast<uint64_t>(std::llround(s.window_tps))),
                                 format_count(static_cast<uint64_t>(std::llround(s.window_trained_tps))));
  if (r.grad_norm) line += fmt::format(" | grad {:.2f}", *r.grad_norm);
  line += fmt::format(" | lr {:.2e} | {:.2f} GiB", r.lr, s.mem_gib);
  if (s.seconds_left) line += fmt::format(" | {} left", format_duration(*s.seconds_left));
  if (line.size() > width) line.resize(width);  // a wrapped line cannot be redrawn
  return line;
}

}  // namespace automodel::metrics
