// A region of memory cut into pieces that may be drawn in any order, side by side.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fanin/fill.hpp"

namespace fanin {

// Elements that a thread draws before it asks for more.
constexpr std::size_t share = 32768;
// What is larger than this leaves no use for what caches hold of it.
constexpr std::size_t large_bytes = std::size_t{8} << 20;
// Elements further apart than this are drawn one by one.
constexpr std::size_t most_step = 8;

// What is left of a region after dimensions of one are dropped and those that continue each other, in the
// stream and in memory, are one: the line, innermost, whose elements are evenly spaced in the stream;
// the rows, the dimension whose neighbours lie nearest in memory; and the rest.
struct Layout {
    std::vector<Dimension> line, rest;
    Dimension rows = {1, 0, 0};
    std::uint64_t step = 1;
    std::size_t length = 1;
};

struct Job {
    const Path& path;
    unsigned char* out;
    Dtype dtype;
    std::size_t size;
    Key key;
    const Recipe& recipe;
    bool large;
};

struct Place {
    std::uint64_t element;
    std::ptrdiff_t byte;
};

static inline std::size_t distance(const Dimension& dimension) {
    return static_cast<std::size_t>(dimension.stride < 0 ? -dimension.stride : dimension.stride);
}

// The place of the index-th item of some dimensions, counted row-major.
static inline void advance(Place& place, const std::vector<Dimension>& dimensions, std::size_t index) {
    for (std::size_t k = dimensions.size(); k-- > 0;) {
        const std::size_t at = index % dimensions[k].extent;
        index /= dimensions[k].extent;
        place.element += at * dimensions[k].step;
        place.byte += static_cast<std::ptrdiff_t>(at) * dimensions[k].stride;
    }
}

// Rows and columns that a tile has at most.
struct Extent {
    std::size_t rows, columns;
};

Extent tile_extent(const Job& job, const Layout& layout);

// Rows of the stream, drawn beside their memory and then brought to it.
void draw_tile(const Job& job, const Layout& layout, Place place, std::size_t rows, std::size_t first_column,
               std::size_t columns);

class Region {
  public:
    // As in fill_region; `path` and `recipe` are held by the caller.
    Region(const Path& path, void* out, Dtype dtype, std::uint64_t begin, const std::vector<Dimension>& shape,
           const Key& key, const Recipe& recipe, bool large);

    std::size_t pieces() const { return units_ == 0 ? 0 : (units_ - 1) / together_ + 1; }

    void draw(std::size_t piece) const;

  private:
    // Runs of memory; rows that are neighbours in memory, four columns at a time; anything else.
    enum class Way { runs, columns, tiles };

    void draw_unit(std::size_t unit) const;
    void draw_columns(Place place, std::size_t rows, std::size_t strip) const;

    Job job_;
    Layout layout_;
    std::uint64_t begin_;
    Way way_ = Way::runs;
    // Of a unit, and how many units there are across a line and down the rows.
    Extent unit_ = {1, 1};
    std::size_t across_ = 1, down_ = 1, units_ = 0, together_ = 1;
};

}  // namespace fanin
