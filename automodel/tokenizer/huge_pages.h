// HugePages: an allocator for large tables that are read at random places. From 2 MiB on it asks the kernel for huge
// pages, so that filling them costs few page faults and reading them few misses of the address cache; where the kernel
// has none, the memory is ordinary.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace automodel::tokenizer {

template <class T>
struct HugePages {
  using value_type = T;
  HugePages() = default;
  template <class U>
  HugePages(const HugePages<U>&) {}

  T* allocate(size_t count) {
    const size_t bytes = count * sizeof(T);
    if (bytes < kPage) return static_cast<T*>(::operator new(bytes));
    void* memory = std::aligned_alloc(kPage, (bytes + kPage - 1) / kPage * kPage);
    if (!memory) throw std::bad_alloc();
    ::madvise(memory, bytes, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) {
    if (count * sizeof(T) < kPage)
      ::operator delete(memory);
    else
      std::free(memory);
  }
  bool operator==(const HugePages&) const { return true; }

 private:
  static constexpr size_t kPage = size_t{1} << 21;
};

template <class T>
using HugeVector = std::vector<T, HugePages<T>>;

}  // namespace automodel::tokenizer
