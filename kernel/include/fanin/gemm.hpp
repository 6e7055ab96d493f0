// Products of matrices whose every element is one chain of fused multiply-adds, in ascending order of the
// summed index: the same bits whatever the tiles, the vectors and the threads are.
//
// `V` is a vector of `V::lanes` numbers `V::Number` with zero, one, load, store, fma and add; a tile is
// `V::rows` rows of two vectors, as many as the processor's registers hold.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <new>

namespace fanin {
// Without linkage: a file compiled for newer processors must not lend its code to others.
namespace {

// Summed at a time, and the distance of rows of left factors, which keeps them in different cache sets.
constexpr std::size_t depth_step = 192;
constexpr std::size_t row_step = depth_step + 16;

template <class V>
constexpr std::size_t tile_columns = 2 * V::lanes;

inline std::size_t rounded(std::size_t count, std::size_t step) { return (count + step - 1) / step * step; }

// Uninitialised memory that begins at a cache line.
template <class T>
class Scratch {
  public:
    explicit Scratch(std::size_t count)
        : memory_(static_cast<T*>(::operator new(std::max<std::size_t>(count, 1) * sizeof(T), alignment))) {}
    ~Scratch() { ::operator delete(memory_, alignment); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    operator T*() const { return memory_; }

  private:
    static constexpr std::align_val_t alignment{64};
    T* memory_;
};

// What a tile does with the elements that it is written to.
enum class Into {
    fresh,  // they become the product
    chain,  // they are where the chain begins
    sum,    // the product is added to them
};

// c (rows x two vectors, `c_step` apart) from a (rows x depth, row_step apart) and b (depth x two vectors).
// A later tile's place is asked for ahead, since it comes from far memory.
template <class V, Into into>
inline void whole_tile(const typename V::Number* a, const typename V::Number* b, std::size_t depth,
                       typename V::Number* c, std::size_t c_step) {
    typename V::Register sum[V::rows][2];
    for (std::size_t r = 0; r < V::rows; ++r) {
        if (into == Into::sum) V::prefetch(c + r * c_step);
        for (std::size_t v = 0; v < 2; ++v)
            sum[r][v] = into == Into::chain ? V::load(c + r * c_step + v * V::lanes) : V::zero();
    }
    for (std::size_t k = 0; k < depth; ++k, b += tile_columns<V>) {
        const typename V::Register b0 = V::load(b), b1 = V::load(b + V::lanes);
#if defined(__GNUC__)
#pragma GCC unroll 16
#endif
        for (std::size_t r = 0; r < V::rows; ++r) {
            const typename V::Register one = V::one(a + r * row_step + k);
            sum[r][0] = V::fma(one, b0, sum[r][0]);
            sum[r][1] = V::fma(one, b1, sum[r][1]);
        }
    }
    for (std::size_t r = 0; r < V::rows; ++r)
        for (std::size_t v = 0; v < 2; ++v) {
            typename V::Number* const to = c + r * c_step + v * V::lanes;
            V::store(to, into == Into::sum ? V::add(V::load(to), sum[r][v]) : sum[r][v]);
        }
}

// The same for a tile of which only some rows and columns are there.
template <class V, Into into>
inline void tile(const typename V::Number* a, const typename V::Number* b, std::size_t depth, typename V::Number* c,
                 std::size_t c_step, std::size_t rows, std::size_t columns) {
    if (rows >= V::rows && columns >= tile_columns<V>) return whole_tile<V, into>(a, b, depth, c, c_step);
    rows = std::min(rows, V::rows);
    columns = std::min(columns, tile_columns<V>);
    alignas(64) typename V::Number part[V::rows * tile_columns<V>];
    if (into == Into::chain)
        for (std::size_t r = 0; r < V::rows; ++r)
            for (std::size_t j = 0; j < tile_columns<V>; ++j)
                part[r * tile_columns<V> + j] = r < rows && j < columns ? c[r * c_step + j] : typename V::Number{0};
    whole_tile < V, into == Into::chain ? Into::chain : Into::fresh > (a, b, depth, part, tile_columns<V>);
    for (std::size_t r = 0; r < rows; ++r)
        for (std::size_t j = 0; j < columns; ++j) {
            typename V::Number& to = c[r * c_step + j];
            to = into == Into::sum ? to + part[r * tile_columns<V> + j] : part[r * tile_columns<V> + j];
        }
}

// Columns [first, first + tile_columns) of a right factor given as rows (depth x columns, `step` apart).
template <class V>
inline void pack_columns(const typename V::Number* from, std::size_t step, std::size_t depth, std::size_t first,
                         std::size_t columns, typename V::Number* to) {
    const std::size_t here = std::min(tile_columns<V>, columns - first);
    for (std::size_t k = 0; k < depth; ++k, to += tile_columns<V>) {
        std::memcpy(to, from + k * step + first, here * sizeof *to);
        std::fill(to + here, to + tile_columns<V>, typename V::Number{0});
    }
}

// The same of the transposed: rows [first, first + tile_columns) of (columns x depth), summed indices
// [begin, end) only.
template <class V>
inline void pack_rows(const typename V::Number* from, std::size_t step, std::size_t begin, std::size_t end,
                      std::size_t first, std::size_t columns, typename V::Number* to) {
    const std::size_t here = std::min(tile_columns<V>, columns - first);
    to += begin * tile_columns<V>;
    for (std::size_t k = begin; k < end; ++k, to += tile_columns<V>) {
        for (std::size_t j = 0; j < here; ++j) to[j] = from[(first + j) * step + k];
        std::fill(to + here, to + tile_columns<V>, typename V::Number{0});
    }
}

}  // namespace
}  // namespace fanin
