// The kernel's doors: a region, or many tensors at once, shared between threads; the same for every path.
#include "fanin/fill.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "fanin/keys.hpp"
#include "fanin/parallel.hpp"
#include "fanin/region.hpp"
#include "fanin/runs.hpp"

namespace fanin {

extern const Path portable_path;
#ifdef FANIN_X86
extern const Path avx2_path;
extern const Path avx512_path;
#endif
#ifdef FANIN_NEON
extern const Path neon_path;
#endif

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
#ifdef FANIN_NEON
            &neon_path,
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

bool fill_region(const Path& path, void* out, Dtype dtype, std::uint64_t begin, const std::vector<Dimension>& shape,
                 const Key& key, const Recipe& recipe, unsigned threads, const Stop& stop) {
    std::size_t count = 1;
    for (const Dimension& dimension : shape) count *= dimension.extent;
    if (count == 0) return true;
    const Region region(path, out, dtype, begin, shape, key, recipe, count * item_size(dtype) >= large_bytes);
    return in_parallel(threads, region.pieces(), 1, stop, [&](std::size_t piece) { region.draw(piece); });
}

bool fill(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
          const Recipe& recipe, unsigned threads, const Stop& stop) {
    return fill_region(path, out, dtype, begin, {{count, 1, static_cast<std::ptrdiff_t>(item_size(dtype))}}, key, recipe,
                       threads, stop);
}

bool fill_tasks(const Path& path, const std::vector<Task>& tasks, std::uint64_t seed, unsigned threads,
                const Stop& stop) {
    // As many as a path hashes at once; tasks differ in size, and the caller wants to be asked.
    constexpr std::size_t at_once = 8;
    std::vector<Key> keys(tasks.size());
    const auto small = [](const Task& task) { return task.shape == nullptr && task.count <= share; };
    const bool finished = in_parallel(threads, (tasks.size() - 1) / at_once + 1, 1, stop, [&](std::size_t piece) {
        const std::size_t first = piece * at_once, count = std::min(at_once, tasks.size() - first);
        std::string_view names[at_once];
        for (std::size_t k = 0; k < count; ++k) names[k] = tasks[first + k].name;
        path.keys(seed, names, count, &keys[first]);
        for (std::size_t k = first; k < first + count; ++k) {
            const Task& task = tasks[k];
            if (task.key != nullptr) keys[k] = *task.key;
            if (small(task)) fill_run(path, task.out, task.dtype, 0, task.count, keys[k], *task.recipe);
        }
    });
    if (!finished) return false;
    // The pieces of all others are one job, so that no thread waits for another before the end.
    std::vector<Region> regions;
    std::vector<std::size_t> ends;
    std::size_t bytes = 0, end = 0;
    for (const Task& task : tasks) bytes += task.count * item_size(task.dtype);
    for (std::size_t k = 0; k < tasks.size(); ++k) {
        const Task& task = tasks[k];
        if (small(task)) continue;
        const std::vector<Dimension> run = {{task.count, 1, static_cast<std::ptrdiff_t>(item_size(task.dtype))}};
        regions.emplace_back(path, task.out, task.dtype, 0, task.shape != nullptr ? *task.shape : run, keys[k],
                             *task.recipe, bytes >= large_bytes);
        ends.push_back(end += regions.back().pieces());
    }
    if (end == 0) return true;
    return in_parallel(threads, end, 1, stop, [&](std::size_t piece) {
        const std::size_t k = static_cast<std::size_t>(std::upper_bound(ends.begin(), ends.end(), piece) - ends.begin());
        regions[k].draw(piece - (k == 0 ? 0 : ends[k - 1]));
    });
}

}  // namespace fanin
