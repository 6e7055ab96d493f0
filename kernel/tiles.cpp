// Tiles: a part of the stream beside its memory, then brought to it, whatever the strides.
#include <algorithm>
#include <cstring>

#include "fanin/region.hpp"
#include "fanin/runs.hpp"

namespace fanin {
namespace {

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

template <std::size_t size>
void draw(const Job& job, const Layout& layout, Place place, std::size_t rows, std::size_t first_column,
               std::size_t columns) {
    alignas(64) unsigned char drawn[tile_rows(size) * tile_stride * size];
    const unsigned char* from[tile_rows(size)];
    const bool apart = layout.step > most_step;
    // Counted as unsigned, so a step backwards is a long step.
    for (std::size_t row = 0; row < rows; ++row) {
        const std::uint64_t element = place.element + row * layout.rows.step + first_column * layout.step;
        unsigned char* const to = drawn + row * tile_stride * size;
        from[row] = to;
        if (apart) {
            for (std::size_t column = 0; column < columns; ++column)
                single_part(job.path, to + column * size, job.dtype, element + column * layout.step, 1, job.key, job.recipe);
            continue;
        }
        const std::size_t run = (columns - 1) * layout.step + 1, before = element & 3, needed = before + run;
        if (run < least_run) {
            single_part(job.path, to, job.dtype, element, run, job.key, job.recipe);
        } else {
            // Nearly whole rows are drawn whole: a part of a vector costs as much.
            fill_part(job.path, to, job.dtype, element - before, needed > tile_drawn / 2 ? tile_drawn : needed, job.key,
                      job.recipe);
            from[row] += before * size;
        }
    }
    const std::size_t hop = (apart ? 1 : static_cast<std::size_t>(layout.step)) * size;
    // Indices of the first column, then counting.
    const std::size_t depth = layout.line.size();
    std::vector<std::size_t> index(depth);
    Place at = place;
    advance(at, layout.line, first_column);
    for (std::size_t k = depth, rest = first_column; k-- > 0; rest /= layout.line[k].extent)
        index[k] = rest % layout.line[k].extent;
    for (std::size_t column = 0; column < columns; ++column) {
        unsigned char* to = job.out + at.byte;
        for (std::size_t row = 0; row < rows; ++row, to += layout.rows.stride)
            std::memcpy(to, from[row] + column * hop, size);
        for (std::size_t k = depth; k-- > 0;) {
            at.byte += layout.line[k].stride;
            if (++index[k] < layout.line[k].extent) break;
            at.byte -= layout.line[k].stride * static_cast<std::ptrdiff_t>(index[k]);
            index[k] = 0;
        }
    }
}

}  // namespace

Extent tile_extent(const Job& job, const Layout& layout) {
    const std::size_t step = layout.step > most_step ? 1 : static_cast<std::size_t>(layout.step);
    // Rows that are neighbours in memory make long writes; others only spread a tile over more of it.
    return {distance(layout.rows) == job.size ? tile_rows(job.size) : scattered_rows, (tile_reach - 1) / step + 1};
}

void draw_tile(const Job& job, const Layout& layout, Place place, std::size_t rows, std::size_t first_column,
               std::size_t columns) {
    switch (job.size) {
        case 8:
            return draw<8>(job, layout, place, rows, first_column, columns);
        case 4:
            return draw<4>(job, layout, place, rows, first_column, columns);
        case 2:
            return draw<2>(job, layout, place, rows, first_column, columns);
        default:
            return draw<1>(job, layout, place, rows, first_column, columns);
    }
}

}  // namespace fanin
