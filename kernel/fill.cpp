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
    if (item_size(dtype) > 1) {
        path.narrow(recipe, key, begin, count, dtype, out);
        return;
    }
    alignas(64) float values[chunk];
    for (std::size_t done = 0; done < count; done += chunk) {
        const std::size_t now = std::min(chunk, count - done);
        path.narrow(recipe, key, begin + done, now, Dtype::float32, values);
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

namespace {

// Run part(worker) for every worker, the first one in the calling thread.
template <class Part>
void in_parallel(std::size_t workers, const Part& part) {
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

std::size_t clamp_workers(unsigned threads, std::size_t most) {
    return std::max<std::size_t>(1, std::min<std::size_t>(threads, most));
}

// Tiles of a turned tensor. A row of a tile begins at a whole block and has whole vectors of every
// path, so up to three elements before the tile and some after it are drawn and not used.
constexpr std::size_t tile_rows = 32;
constexpr std::size_t tile_columns = 252;
constexpr std::size_t tile_drawn = 256;
// Rows a little apart, so that a column does not lie in one set of a cache.
constexpr std::size_t tile_stride = tile_drawn + 16;

template <class Item>
void turn_tile(const Path& path, Item* out, Dtype dtype, std::uint64_t begin, const Turn& turn, const Key& key,
               const Recipe& recipe, std::size_t first_row, std::size_t rows, std::size_t first_column,
               std::size_t columns, std::size_t all_columns) {
    alignas(64) Item drawn[tile_rows * tile_stride];
    const Item* from[tile_rows];
    for (std::size_t row = 0; row < rows; ++row) {
        const std::uint64_t element = begin + (first_row + row) * all_columns + first_column;
        const std::size_t before = element & 3;
        Item* const line = drawn + row * tile_stride;
        // Short rows are not worth whole vectors.
        const std::size_t needed = before + columns;
        fill_part(path, line, dtype, element - before, needed > tile_drawn / 2 ? tile_drawn : needed, key, recipe);
        from[row] = line + before;
    }
    // Indices of the first column, then counting.
    std::size_t index[16] = {}, offset = 0, rest = first_column;
    const std::size_t depth = turn.shape.size();
    for (std::size_t k = depth; k-- > 0; rest /= turn.shape[k]) {
        index[k] = rest % turn.shape[k];
        offset += index[k] * turn.strides[k];
    }
    for (std::size_t column = 0; column < columns; ++column) {
        Item* const to = out + offset + first_row;
        for (std::size_t row = 0; row < rows; ++row) to[row] = from[row][column];
        for (std::size_t k = depth; k-- > 0;) {
            offset += turn.strides[k];
            if (++index[k] < turn.shape[k]) break;
            offset -= index[k] * turn.strides[k];
            index[k] = 0;
        }
    }
}

template <class Item>
void turn_all(const Path& path, Item* out, Dtype dtype, std::uint64_t begin, const Turn& turn, const Key& key,
              const Recipe& recipe, unsigned threads) {
    std::size_t all_columns = 1;
    for (std::size_t extent : turn.shape) all_columns *= extent;
    const std::size_t down = (turn.rows + tile_rows - 1) / tile_rows;
    const std::size_t across = (all_columns + tile_columns - 1) / tile_columns;
    const std::size_t workers = clamp_workers(threads, down * across);
    in_parallel(workers, [&](std::size_t worker) {
        const std::size_t last = down * across * (worker + 1) / workers;
        for (std::size_t tile = down * across * worker / workers; tile < last; ++tile) {
            const std::size_t row = tile / across * tile_rows, column = tile % across * tile_columns;
            turn_tile(path, out, dtype, begin, turn, key, recipe, row, std::min(tile_rows, turn.rows - row), column,
                      std::min(tile_columns, all_columns - column), all_columns);
        }
    });
}

}  // namespace

void fill(const Path& path, void* out, Dtype dtype, std::uint64_t begin, std::size_t count, const Key& key,
          const Recipe& recipe, unsigned threads) {
    const std::size_t grains = (count + grain - 1) / grain;
    const std::size_t workers = clamp_workers(threads, grains);
    in_parallel(workers, [&](std::size_t worker) {
        const std::size_t first = grains * worker / workers * grain;
        const std::size_t last = std::min(count, grains * (worker + 1) / workers * grain);
        fill_part(path, static_cast<unsigned char*>(out) + first * item_size(dtype), dtype, begin + first,
                  last - first, key, recipe);
    });
}

void fill_turned(const Path& path, void* out, Dtype dtype, std::uint64_t begin, const Turn& turn, const Key& key,
                 const Recipe& recipe, unsigned threads) {
    switch (item_size(dtype)) {
        case 8:
            turn_all(path, static_cast<std::uint64_t*>(out), dtype, begin, turn, key, recipe, threads);
            break;
        case 4:
            turn_all(path, static_cast<std::uint32_t*>(out), dtype, begin, turn, key, recipe, threads);
            break;
        case 2:
            turn_all(path, static_cast<std::uint16_t*>(out), dtype, begin, turn, key, recipe, threads);
            break;
        default:
            turn_all(path, static_cast<std::uint8_t*>(out), dtype, begin, turn, key, recipe, threads);
    }
}

}  // namespace fanin
