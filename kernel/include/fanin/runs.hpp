// Elements that count as they lie in memory, on the caller's thread.
#pragma once

#include "fanin/fill.hpp"

namespace fanin {

// Shorter runs are drawn element by element.
constexpr std::size_t least_run = 24;

// Elements in vectors; `large` where memory is more than caches hold.
void fill_part(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
               const Recipe& recipe, bool large = false);

// A few elements, for which no vector is worth filling.
void single_part(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
                 const Recipe& recipe);

// The better of both.
void fill_run(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
              const Recipe& recipe, bool large = false);

}  // namespace fanin
