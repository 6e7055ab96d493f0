// Runs: elements that lie in memory as they count.
#include "fanin/runs.hpp"

#include <algorithm>

#include "fanin/lanes.hpp"

namespace fanin {
namespace {

// Elements of a temporary buffer: they stay in a first-level cache.
constexpr std::size_t chunk = 1024;

void fill_wide(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count,
               const Key& key, const Recipe& recipe) {
    const Key further = second_key(key);
    std::uint32_t first[chunk], second[chunk];
    float narrow[chunk];
    double base[chunk];
    for (std::size_t done = 0; done < count; done += chunk) {
        const std::size_t now = std::min(chunk, count - done);
        path.words(key, begin + done, now, first);
        path.words(further, begin + done, now, second);
        double* const wide = dtype == Dtype::float64 ? static_cast<double*>(out) + done : base;
        path.wide(recipe, first, second, now, wide);
        if (dtype == Dtype::float64) {
            affine_all(recipe, now, wide);
            continue;
        }
        float* const to = dtype == Dtype::float32 ? static_cast<float*>(out) + done : narrow;
        for (std::size_t i = 0; i < now; ++i) to[i] = static_cast<float>(base[i]);
        affine_all(recipe, now, to);
        if (dtype != Dtype::float32)
            path.cast(narrow, now, dtype, static_cast<unsigned char*>(out) + done * item_size(dtype));
    }
}

void fill_narrow(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count,
                 const Key& key, const Recipe& recipe, bool large) {
    if (item_size(dtype) > 1) {
        path.narrow(recipe, key, begin, count, dtype, large, out);
        return;
    }
    alignas(64) float values[chunk];
    for (std::size_t done = 0; done < count; done += chunk) {
        const std::size_t now = std::min(chunk, count - done);
        path.narrow(recipe, key, begin + done, now, Dtype::float32, false, values);
        path.cast(values, now, dtype, static_cast<unsigned char*>(out) + done * item_size(dtype));
    }
}

}  // namespace

void fill_part(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count,
               const Key& key, const Recipe& recipe, bool large) {
    if (recipe.wide) {
        fill_wide(path, out, dtype, begin, count, key, recipe);
    } else {
        fill_narrow(path, out, dtype, begin, count, key, recipe, large);
    }
}

void single_part(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
                 const Recipe& recipe) {
    if (recipe.wide) {
        fill_wide(path, out, dtype, begin, count, key, recipe);
    } else if (dtype == Dtype::float32) {
        narrow_elements(recipe, key, begin, count, static_cast<float*>(out));
    } else {
        float values[least_run];
        narrow_elements(recipe, key, begin, count, values);
        cast_elements(values, count, dtype, out);
    }
}

void fill_run(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
              const Recipe& recipe, bool large) {
    if (count < least_run) {
        single_part(path, out, dtype, begin, count, key, recipe);
    } else {
        fill_part(path, out, dtype, begin, count, key, recipe, large);
    }
}

}  // namespace fanin
