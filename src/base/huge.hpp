#pragma once
// HugeVector: a vector for large tables that are read in no order: where the kernel allows, it lies in pages of 2 MiB, so that a look
// costs a cache miss but no walk through page tables. Small ones are ordinary.
#include <sys/mman.h>

#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

namespace bavn {

template <class T>
struct HugeAllocator {
  using value_type = T;
  static constexpr std::size_t kPage = 2U << 20;
  HugeAllocator() = default;
  template <class U>
  HugeAllocator(const HugeAllocator<U>&) {}  // NOLINT: allocators convert
  T* allocate(std::size_t n) {
    const std::size_t bytes = n * sizeof(T);
    const bool huge = bytes >= kPage / 2;
    const std::size_t align = huge ? kPage : alignof(T) > 16 ? alignof(T) : 16;
    void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
    if (p == nullptr) throw std::bad_alloc();
    if (huge) ::madvise(p, (bytes + kPage - 1) / kPage * kPage, MADV_HUGEPAGE);  // advice: refused is as well
    return static_cast<T*>(p);
  }
  void deallocate(T* p, std::size_t) { std::free(p); }
  friend bool operator==(const HugeAllocator&, const HugeAllocator&) { return true; }
};

template <class T>
using HugeVector = std::vector<T, HugeAllocator<T>>;

}  // namespace bavn
