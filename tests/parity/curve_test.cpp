// 50 optimizer steps against torch: accumulation, clipping, the schedule and Adam together. Losses to 1e-4, as gradient
// norms.
#include "automodel/optim/adam.h"
#include "automodel/optim/gradient.h"
#include "automodel/optim/lr_schedule.h"
#include "tests/parity/golden.h"

namespace automodel::parity {
namespace {

optim::AdamSettings adam_settings(const Json& golden) {
  optim::AdamSettings settings;
  settings.decoupled = golden.at("name") == "AdamW";
  settings.beta1 = golden.at("betas").at(0);
  settings.beta2 = golden.at("betas").at(1);
  settings.eps = golden.at("eps");
  return settings;
}

optim::LrSchedule schedule_of(const Json& golden, const Json& optimizer, size_t steps) {
  config::LrSchedulerSection settings;
  settings.lr_decay_style = golden.at("lr_decay_style");
  settings.lr_warmup_steps = golden.at("lr_warmup_steps").get<int64_t>();
  settings.lr_decay_steps = golden.at("lr_decay_steps").get<int64_t>();
  return optim::LrSchedule::make(settings, optimizer.at("lr"), optimizer.at("weight_decay"),
                                 static_cast<int64_t>(steps));
}

// One step: microbatches as they lie, or all of them in one.
double accumulate(nn::Model& model, std::vector<Batch> microbatches, engine::Recompute recompute) {
  int64_t trained = 0;
  for (const auto& batch : microbatches) trained += batch.trained_tokens;
  engine::Engine engine(model, recompute);
  double loss = 0;
  for (const auto& batch : microbatches) {
    Context context;
    context.loss_scale = 1.0 / static_cast<double>(trained);
    loss += engine.forward_backward(batch.to(model.device), context).item<double>();
  }
  return loss;
}

void expect_curve(nn::Model& model, const Json& golden, bool as_one_microbatch) {
  const Json steps = load_json(golden_folder() / "curve_batches.json").at("steps");
  const auto& optimizer = golden.at("optimizer");
  const auto schedule = schedule_of(golden.at("lr_scheduler"), optimizer, steps.size());
  const auto parameters = model.parameters();
  optim::Adam adam(parameters, adam_settings(optimizer));
  for (size_t step = 0; step < steps.size(); ++step) {
    std::vector<Batch> microbatches;
    Json all = Json::array();
    for (const auto& documents : steps[step]) {
      if (as_one_microbatch)
        all.insert(all.end(), documents.begin(), documents.end());
      else
        microbatches.push_back(to_batch(documents));
    }
    if (as_one_microbatch) microbatches.push_back(to_batch(all));
    const double loss = accumulate(model, std::move(microbatches), engine::Recompute::None);
    const auto clipped = optim::clip_gradients(parameters, golden.at("clip_grad_norm"));
    const double norm = optim::read_norm(clipped, static_cast<int64_t>(step));
    const double lr = schedule.lr(static_cast<int64_t>(step));
    adam.step(lr, schedule.weight_decay(static_cast<int64_t>(step)), clipped);
    adam.clear_grads();
    const double golden_loss = golden.at("loss").at(step), golden_norm = golden.at("grad_norm").at(step);
    ASSERT_NEAR(lr, golden.at("lr").at(step).get<double>(), 1e-9 * lr) << "step " << step;
    ASSERT_NEAR(loss, golden_loss, 1e-4 * golden_loss) << "step " << step;
    ASSERT_NEAR(norm, golden_norm, 1e-3 * golden_norm) << "step " << step;
  }
}

class Curves : public testing::TestWithParam<std::string> {};

TEST_P(Curves, FiftyStepsEqualTorch) {
  const Json golden = load_json(golden_folder() / ("curve_" + GetParam() + ".json"));
  for (const bool as_one_microbatch : {false, true}) {
    SCOPED_TRACE(as_one_microbatch ? "one microbatch" : "two microbatches");
    const auto model =
        on_test_device(golden.contains("adapter") ? load_adapted(golden.at("adapter")) : load_model(golden.at("base")));
    expect_curve(*model, golden, as_one_microbatch);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Curves, testing::Values("adamw", "adam", "gpt2", "lora", "dora"),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace automodel::parity
