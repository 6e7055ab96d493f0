// Ranges, regions and chunks; the same for every path.
#include "fanin/fill.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "fanin/keys.hpp"
#include "fanin/lanes.hpp"
#include "fanin/parallel.hpp"

namespace fanin {

extern const Path portable_path;
#ifdef FANIN_X86
extern const Path avx2_path;
extern const Path avx512_path;
#endif
#ifdef FANIN_NEON
extern const Path neon_path;
#endif

namespace {

// Elements of a temporary buffer: they stay in a first-level cache.
constexpr std::size_t chunk = 1024;
// Shorter runs are drawn element by element.
constexpr std::size_t least_run = 24;
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

void fill_part(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count,
               const Key& key, const Recipe& recipe, bool large = false) {
    if (recipe.wide) {
        fill_wide(path, out, dtype, begin, count, key, recipe);
    } else {
        fill_narrow(path, out, dtype, begin, count, key, recipe, large);
    }
}

// A few elements, for which no vector is worth filling.
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

// Elements that a thread draws before it asks for more.
constexpr std::size_t share = 32768;

// What is larger than this leaves no use for what caches hold of it.
constexpr std::size_t large_bytes = std::size_t{8} << 20;

// Tiles of a region whose elements do not lie in memory as they count: a row of a tile is a run of the
// stream that begins at a whole block, so up to three elements before it are drawn and not used.
// So many that writes are long where rows are neighbours in memory, and a tile stays in a second-level cache and on
// a thread's stack.
constexpr std::size_t scattered_rows = 4;
constexpr std::size_t tile_rows(std::size_t size) { return size == 8 ? 64 : 128; }
constexpr std::size_t tile_drawn = 256;
constexpr std::size_t tile_reach = tile_drawn - 3;
// Rows a little apart, so that a column does not lie in one set of a cache.
constexpr std::size_t tile_stride = tile_drawn + 16;
// Elements further apart than this are drawn one by one.
constexpr std::size_t most_step = 8;

// What is left of a region after dimensions of one are dropped and those that continue each other, in the
// stream and in memory, are one: the line, innermost, whose elements are evenly spaced in the stream;
// the rows, the dimension whose neighbours lie nearest in memory; and the rest.
struct Plan {
    std::vector<Dimension> line, rest;
    Dimension rows = {1, 0, 0};
    std::uint64_t step = 1;
    std::size_t length = 1;
};

bool continues(const Dimension& outer, const Dimension& inner) { return outer.step == inner.step * inner.extent; }

std::size_t distance(const Dimension& dimension) {
    return static_cast<std::size_t>(dimension.stride < 0 ? -dimension.stride : dimension.stride);
}

Plan plan_of(const std::vector<Dimension>& shape) {
    std::vector<Dimension> merged;
    for (const Dimension& next : shape) {
        if (next.extent == 1) continue;
        if (!merged.empty() && continues(merged.back(), next) &&
            merged.back().stride == next.stride * static_cast<std::ptrdiff_t>(next.extent)) {
            merged.back() = {merged.back().extent * next.extent, next.step, next.stride};
        } else {
            merged.push_back(next);
        }
    }
    Plan plan;
    if (merged.empty()) merged.push_back({1, 1, 0});
    std::size_t first = merged.size() - 1;
    while (first > 0 && continues(merged[first - 1], merged[first])) --first;
    const auto from = merged.begin() + static_cast<std::ptrdiff_t>(first);
    plan.line.assign(from, merged.end());
    plan.rest.assign(merged.begin(), from);
    plan.step = merged.back().step;
    for (const Dimension& dimension : plan.line) plan.length *= dimension.extent;
    if (plan.rest.empty()) {
        // A line of several dimensions: its first may hold the rows.
        if (plan.line.size() > 1) {
            plan.rows = plan.line.front();
            plan.line.erase(plan.line.begin());
            plan.length /= plan.rows.extent;
        }
        return plan;
    }
    const auto nearest = std::min_element(plan.rest.begin(), plan.rest.end(), [](const auto& a, const auto& b) {
        return distance(a) < distance(b);
    });
    plan.rows = *nearest;
    plan.rest.erase(nearest);
    return plan;
}

struct Job {
    const Path& path;
    unsigned char* out;
    Dtype dtype;
    std::size_t size;
    const Key& key;
    const Recipe& recipe;
};

struct Place {
    std::uint64_t element;
    std::ptrdiff_t byte;
};

// The place of the index-th item of some dimensions, counted row-major.
void advance(Place& place, const std::vector<Dimension>& dimensions, std::size_t index) {
    for (std::size_t k = dimensions.size(); k-- > 0;) {
        const std::size_t at = index % dimensions[k].extent;
        index /= dimensions[k].extent;
        place.element += at * dimensions[k].step;
        place.byte += static_cast<std::ptrdiff_t>(at) * dimensions[k].stride;
    }
}

template <std::size_t size>
void draw_tile(const Job& job, const Plan& plan, Place place, std::size_t rows, std::size_t first_column,
               std::size_t columns) {
    alignas(64) unsigned char drawn[tile_rows(size) * tile_stride * size];
    const unsigned char* from[tile_rows(size)];
    const bool apart = plan.step > most_step;
    // Counted as unsigned, so a step backwards is a long step.
    for (std::size_t row = 0; row < rows; ++row) {
        const std::uint64_t element = place.element + row * plan.rows.step + first_column * plan.step;
        unsigned char* const to = drawn + row * tile_stride * size;
        from[row] = to;
        if (apart) {
            for (std::size_t column = 0; column < columns; ++column)
                single_part(job.path, to + column * size, job.dtype, element + column * plan.step, 1, job.key, job.recipe);
            continue;
        }
        const std::size_t run = (columns - 1) * plan.step + 1, before = element & 3, needed = before + run;
        if (run < least_run) {
            single_part(job.path, to, job.dtype, element, run, job.key, job.recipe);
        } else {
            // Nearly whole rows are drawn whole: a part of a vector costs as much.
            fill_part(job.path, to, job.dtype, element - before, needed > tile_drawn / 2 ? tile_drawn : needed, job.key,
                      job.recipe);
            from[row] += before * size;
        }
    }
    const std::size_t hop = (apart ? 1 : static_cast<std::size_t>(plan.step)) * size;
    // Indices of the first column, then counting.
    const std::size_t depth = plan.line.size();
    std::vector<std::size_t> index(depth);
    Place at = place;
    advance(at, plan.line, first_column);
    for (std::size_t k = depth, rest = first_column; k-- > 0; rest /= plan.line[k].extent)
        index[k] = rest % plan.line[k].extent;
    for (std::size_t column = 0; column < columns; ++column) {
        unsigned char* to = job.out + at.byte;
        for (std::size_t row = 0; row < rows; ++row, to += plan.rows.stride)
            std::memcpy(to, from[row] + column * hop, size);
        for (std::size_t k = depth; k-- > 0;) {
            at.byte += plan.line[k].stride;
            if (++index[k] < plan.line[k].extent) break;
            at.byte -= plan.line[k].stride * static_cast<std::ptrdiff_t>(index[k]);
            index[k] = 0;
        }
    }
}

bool fill_tiles(const Job& job, const Plan& plan, std::uint64_t begin, std::size_t others, unsigned threads,
                const Stop& stop) {
    const std::size_t step = plan.step > most_step ? 1 : static_cast<std::size_t>(plan.step);
    const std::size_t columns = (tile_reach - 1) / step + 1;
    // Rows that are neighbours in memory make long writes; others only spread a tile over more of it.
    const std::size_t most = distance(plan.rows) == job.size ? tile_rows(job.size) : scattered_rows;
    const std::size_t down = (plan.rows.extent - 1) / most + 1, across = (plan.length - 1) / columns + 1;
    const std::size_t small = std::min(most, plan.rows.extent) * std::min(columns, plan.length);
    return in_parallel(threads, others * down * across, std::max<std::size_t>(1, share / small), stop, [&](std::size_t tile) {
        const std::size_t column = tile % across * columns, row = tile / across % down * most;
        Place place = {begin + row * plan.rows.step, static_cast<std::ptrdiff_t>(row) * plan.rows.stride};
        advance(place, plan.rest, tile / across / down);
        const std::size_t rows = std::min(most, plan.rows.extent - row);
        const std::size_t wide = std::min(columns, plan.length - column);
        switch (job.size) {
            case 8:
                return draw_tile<8>(job, plan, place, rows, column, wide);
            case 4:
                return draw_tile<4>(job, plan, place, rows, column, wide);
            case 2:
                return draw_tile<2>(job, plan, place, rows, column, wide);
            default:
                return draw_tile<1>(job, plan, place, rows, column, wide);
        }
    });
}

// Lines that lie in memory as they count are drawn in place.
bool fill_lines(const Job& job, const Plan& plan, std::uint64_t begin, std::size_t others, unsigned threads,
                const Stop& stop) {
    const std::size_t pieces = (plan.length - 1) / share + 1;
    const bool large = others * plan.rows.extent * plan.length * job.size >= large_bytes;
    return in_parallel(
        threads, others * plan.rows.extent * pieces, std::max<std::size_t>(1, share / plan.length), stop,
        [&](std::size_t piece) {
            const std::size_t line = piece / pieces, first = piece % pieces * share, row = line % plan.rows.extent;
            Place place = {begin + row * plan.rows.step + first,
                           static_cast<std::ptrdiff_t>(row) * plan.rows.stride +
                               static_cast<std::ptrdiff_t>(first * job.size)};
            advance(place, plan.rest, line / plan.rows.extent);
            const std::size_t count = std::min(share, plan.length - first);
            if (count < least_run) {
                single_part(job.path, job.out + place.byte, job.dtype, place.element, count, job.key, job.recipe);
            } else {
                fill_part(job.path, job.out + place.byte, job.dtype, place.element, count, job.key, job.recipe, large);
            }
        });
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
    for (const Dimension& dimension : shape)
        if (dimension.extent == 0) return true;
    const Plan plan = plan_of(shape);
    const Job job = {path, static_cast<unsigned char*>(out), dtype, item_size(dtype), key, recipe};
    std::size_t others = 1;
    bool aligned = reinterpret_cast<std::uintptr_t>(out) % job.size == 0 && distance(plan.rows) % job.size == 0;
    for (const Dimension& dimension : plan.rest) {
        others *= dimension.extent;
        aligned = aligned && distance(dimension) % job.size == 0;
    }
    const bool plain = plan.line.size() == 1 && plan.step == 1 &&
                       (plan.length == 1 || plan.line[0].stride == static_cast<std::ptrdiff_t>(job.size));
    return (aligned && plain ? fill_lines : fill_tiles)(job, plan, begin, others, threads, stop);
}

void fill_run(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
              const Recipe& recipe) {
    if (count < least_run) {
        single_part(path, out, dtype, begin, count, key, recipe);
    } else {
        fill_part(path, out, dtype, begin, count, key, recipe);
    }
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
    const bool finished = in_parallel(threads, (tasks.size() - 1) / at_once + 1, 1, stop, [&](std::size_t piece) {
        const std::size_t first = piece * at_once, count = std::min(at_once, tasks.size() - first);
        std::string_view names[at_once];
        for (std::size_t k = 0; k < count; ++k) names[k] = tasks[first + k].name;
        path.keys(seed, names, count, &keys[first]);
        for (std::size_t k = first; k < first + count; ++k) {
            const Task& task = tasks[k];
            if (task.count <= share) fill_run(path, task.out, task.dtype, 0, task.count, keys[k], *task.recipe);
        }
    });
    if (!finished) return false;
    // Large ones one after the other, each on all threads.
    for (std::size_t k = 0; k < tasks.size(); ++k) {
        const Task& task = tasks[k];
        if (task.count > share &&
            !fill(path, task.out, task.dtype, 0, task.count, keys[k], *task.recipe, threads, stop))
            return false;
    }
    return true;
}

}  // namespace fanin
