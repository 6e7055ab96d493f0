// Ranges, chunks and threads; the same for every path.
#include "fanin/fill.hpp"

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

#include "fanin/element.hpp"

namespace fanin {

extern const Path portable_path;
#ifdef FANIN_X86
extern const Path avx2_path;
extern const Path avx512_path;
#endif

namespace {

// Elements of a temporary buffer: they stay in a first-level cache.
constexpr std::size_t chunk = 1024;
// Threads begin at whole vectors of every path.
constexpr std::size_t grain = 4096;

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
                 const Key& key, const Recipe& recipe) {
    if (dtype == Dtype::float32) {
        path.narrow(recipe, key, begin, count, static_cast<float*>(out));
        return;
    }
    alignas(64) float values[chunk];
    for (std::size_t done = 0; done < count; done += chunk) {
        const std::size_t now = std::min(chunk, count - done);
        path.narrow(recipe, key, begin + done, now, values);
        path.cast(values, now, dtype, static_cast<unsigned char*>(out) + done * item_size(dtype));
    }
}

void fill_part(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count,
               const Key& key, const Recipe& recipe) {
    (recipe.wide ? fill_wide : fill_narrow)(path, out, dtype, begin, count, key, recipe);
}

}  // namespace

std::size_t item_size(Dtype dtype) {
    switch (dtype) {
        case Dtype::float64:
            return 8;
        case Dtype::float32:
            return 4;
        case Dtype::float16:
        case Dtype::bfloat16:
            return 2;
        case Dtype::float8_e4m3fn:
        case Dtype::float8_e5m2:
            return 1;
    }
    return 0;
}

const Path* const* available_paths() {
    static const Path* found[4] = {};
    static const bool filled = [] {
        const Path* const built[] = {
#ifdef FANIN_X86
            &avx512_path,
            &avx2_path,
#endif
            &portable_path,
        };
        std::size_t n = 0;
        for (const Path* path : built)
            if (path->supported()) found[n++] = path;
        return true;
    }();
    static_cast<void>(filled);
    return found;
}

void fill(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
          const Recipe& recipe, unsigned threads) {
    const std::size_t grains = (count + grain - 1) / grain;
    const std::size_t workers = std::max<std::size_t>(1, std::min<std::size_t>(threads, grains));
    const auto part = [&](std::size_t worker) {
        const std::size_t first = grains * worker / workers * grain;
        const std::size_t last = std::min(count, grains * (worker + 1) / workers * grain);
        fill_part(path, static_cast<unsigned char*>(out) + first * item_size(dtype), dtype, begin + first,
                  last - first, key, recipe);
    };
    std::vector<std::thread> started;
    started.reserve(workers);
    std::size_t next = 1;
    try {
        for (; next < workers; ++next) started.emplace_back(part, next);
    } catch (const std::system_error&) {
        // The system gives no more threads: the caller does their share.
    }
    part(0);
    for (; next < workers; ++next) part(next);
    for (std::thread& thread : started) thread.join();
}

}  // namespace fanin
