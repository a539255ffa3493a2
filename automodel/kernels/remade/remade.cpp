#include "automodel/kernels/remade/remade.h"

#include "automodel/base/error.h"

namespace automodel::kernels {

namespace {
struct Recipe : torch::CustomClassHolder {
  explicit Recipe(std::function<at::Tensor()> make) : make(std::move(make)) {}
  std::function<at::Tensor()> make;
  int readers = 0;
  at::Tensor made;  // while a reader is left
};
}  // namespace

Remade::Remade(at::Tensor value, std::function<at::Tensor()> make) : value_(std::move(value)) {
  if (at::GradMode::is_enabled()) recipe_ = c10::IValue::make_capsule(c10::make_intrusive<Recipe>(std::move(make)));
}

c10::IValue Remade::recipe() const {
  if (!recipe_.isNone()) ++static_cast<Recipe&>(*recipe_.toCapsule()).readers;
  return recipe_;
}

at::Tensor remake(const at::Tensor& kept, const c10::IValue& recipe) {
  if (!recipe.isCapsule()) return kept;
  auto& own = static_cast<Recipe&>(*recipe.toCapsule());
  AM_CHECK(own.readers > 0, "a value is made again for a backward that has run already");
  const at::NoGradGuard guard;
  if (!own.made.defined()) own.made = own.make();
  const auto made = own.made;
  // The graph's nodes live on until the whole graph goes: what they no longer need must not.
  if (--own.readers == 0) own.made = at::Tensor(), own.make = nullptr;
  return made;
}

}  // namespace automodel::kernels
