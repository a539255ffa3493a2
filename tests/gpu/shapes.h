// Two layers of each family: at the width of a well-known model, and narrow with the same head dim.
#pragma once

#include <ostream>

#include "tests/gpu/twins.h"

namespace automodel::gpu {

struct Shape {
  std::string name;
  std::string config;  // a config.json of the repository, from which all other keys are
  Json full, narrow;   // keys over it
};

inline void PrintTo(const Shape& shape, std::ostream* out) { *out << shape.name; }  // in GoogleTest's messages

const std::vector<Shape>& shapes();

/// The config.json of a shape.
Json shape_config(const Shape& shape, bool full);
/// Its blocks, without values.
Build shape_build(const Shape& shape, bool full);
/// In fp32 on the device of the tests, with values by the family's rule.
std::unique_ptr<nn::Model> make_shape(const Build& build);

inline constexpr int64_t kShapeVocab = 1024;
/// Lengths around the tiles of attention kernels, a long document, and a tail that is not trained.
inline const std::vector<int64_t> kUneven = {1, 2, 63, 64, 65, 1000, 85};
struct Documents {
  std::vector<std::vector<int32_t>> ids, labels;
};
/// Random ids and labels of kShapeVocab; the last document's labels are all -100.
Documents uneven_documents(uint64_t key);

}  // namespace automodel::gpu
