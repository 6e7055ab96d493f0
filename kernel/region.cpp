// How a region is cut: by what its strides allow.
#include "fanin/region.hpp"

#include <algorithm>

#include "fanin/batches.hpp"
#include "fanin/runs.hpp"

namespace fanin {
namespace {

bool continues(const Dimension& outer, const Dimension& inner) { return outer.step == inner.step * inner.extent; }

Layout layout_of(const std::vector<Dimension>& shape) {
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
    Layout layout;
    if (merged.empty()) merged.push_back({1, 1, 0});
    std::size_t first = merged.size() - 1;
    while (first > 0 && continues(merged[first - 1], merged[first])) --first;
    const auto from = merged.begin() + static_cast<std::ptrdiff_t>(first);
    layout.line.assign(from, merged.end());
    layout.rest.assign(merged.begin(), from);
    layout.step = merged.back().step;
    for (const Dimension& dimension : layout.line) layout.length *= dimension.extent;
    if (layout.rest.empty()) {
        // A line of several dimensions: its first may hold the rows.
        if (layout.line.size() > 1) {
            layout.rows = layout.line.front();
            layout.line.erase(layout.line.begin());
            layout.length /= layout.rows.extent;
        }
        return layout;
    }
    const auto nearest = std::min_element(layout.rest.begin(), layout.rest.end(), [](const auto& a, const auto& b) {
        return distance(a) < distance(b);
    });
    layout.rows = *nearest;
    layout.rest.erase(nearest);
    return layout;
}

// Fewer rows leave too many lanes without work.
constexpr std::size_t least_rows = 32;
// Blocks from row to row: more would leave too few rows before a counter word begins anew.
constexpr std::uint64_t most_apart = std::uint64_t{1} << 26;
// Rows of a unit of columns: a whole number of vectors, so that none after the first is misaligned.
constexpr std::size_t most_rows = share / 4;

// Whether rows are neighbours in memory and a whole number of blocks apart in the stream.
bool by_columns(const Job& job, const Layout& layout) {
    const bool narrow = !job.recipe.wide && (job.size == 4 || job.size == 2);
    const bool exact = job.recipe.kind != Kind::uniform || job.recipe.scale >= least_uniform_scale;
    const std::uint64_t apart = layout.rows.step / 4;
    return job.path.lines != nullptr && narrow && exact && layout.step == 1 && layout.rows.extent >= least_rows &&
           layout.rows.stride == static_cast<std::ptrdiff_t>(job.size) && layout.rows.step % 4 == 0 && apart > 0 &&
           apart <= most_apart;
}

std::size_t parts(std::size_t whole, std::size_t part) { return (whole - 1) / part + 1; }

}  // namespace

Region::Region(const Path& path, void* out, Dtype dtype, std::uint64_t begin, const std::vector<Dimension>& shape,
               const Key& key, const Recipe& recipe, bool large)
    : job_{path, static_cast<unsigned char*>(out), dtype, item_size(dtype), key, recipe, large}, begin_(begin) {
    for (const Dimension& dimension : shape)
        if (dimension.extent == 0) return;
    layout_ = layout_of(shape);
    std::size_t others = 1;
    const auto whole = [this](const Dimension& dimension) { return distance(dimension) % job_.size == 0; };
    bool aligned = reinterpret_cast<std::uintptr_t>(out) % job_.size == 0 && whole(layout_.rows);
    for (const Dimension& dimension : layout_.rest) {
        others *= dimension.extent;
        aligned = aligned && whole(dimension);
    }
    const bool even = std::all_of(layout_.line.begin(), layout_.line.end(), whole);
    const bool plain = layout_.line.size() == 1 && layout_.step == 1 &&
                       (layout_.length == 1 || layout_.line[0].stride == static_cast<std::ptrdiff_t>(job_.size));
    if (aligned && plain) {
        unit_ = {1, share};
    } else if (aligned && even && by_columns(job_, layout_)) {
        way_ = Way::columns;
        unit_ = {std::min(most_rows, layout_.rows.extent), 4};
    } else {
        way_ = Way::tiles;
        unit_ = tile_extent(job_, layout_);
    }
    // A line may begin within a block.
    const std::size_t before = way_ == Way::columns ? 3 : 0;
    across_ = parts(before + layout_.length, unit_.columns);
    down_ = parts(layout_.rows.extent, unit_.rows);
    units_ = others * down_ * across_;
    const std::size_t size = std::min(unit_.rows, layout_.rows.extent) * std::min(unit_.columns, layout_.length);
    together_ = std::max<std::size_t>(1, share / size);
}

void Region::draw(std::size_t piece) const {
    const std::size_t first = piece * together_, count = std::min(together_, units_ - first);
    for (std::size_t unit = first; unit < first + count; ++unit) draw_unit(unit);
}

void Region::draw_unit(std::size_t unit) const {
    const std::size_t across = unit % across_, row = unit / across_ % down_ * unit_.rows;
    Place place = {begin_ + row * layout_.rows.step, static_cast<std::ptrdiff_t>(row) * layout_.rows.stride};
    advance(place, layout_.rest, unit / across_ / down_);
    const std::size_t rows = std::min(unit_.rows, layout_.rows.extent - row);
    if (way_ == Way::columns) return draw_columns(place, rows, across);
    const std::size_t column = across * unit_.columns, columns = std::min(unit_.columns, layout_.length - column);
    if (way_ == Way::tiles) return draw_tile(job_, layout_, place, rows, column, columns);
    fill_run(job_.path, job_.out + place.byte + static_cast<std::ptrdiff_t>(column * job_.size), job_.dtype,
             place.element + column, columns, job_.key, job_.recipe, job_.large);
}

// The columns of one block a row.
void Region::draw_columns(Place place, std::size_t rows, std::size_t strip) const {
    const std::size_t before = place.element & 3;
    Lines lines = {((place.element >> 2) + strip) & (~std::uint64_t{0} >> 2), layout_.rows.step / 4, rows, {}};
    bool any = false;
    for (std::size_t k = 0; k < 4; ++k) {
        const std::size_t column = 4 * strip + k - before;
        if (4 * strip + k < before || column >= layout_.length) continue;
        Place at = place;
        advance(at, layout_.line, column);
        lines.at[k] = job_.out + at.byte;
        any = true;
    }
    if (any) job_.path.lines(job_.recipe, job_.key, lines, job_.dtype, job_.large);
}

}  // namespace fanin
